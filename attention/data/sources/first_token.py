"""Which of eight symbols a text begins with: absolute position, and nothing else.

c f f a begins with c. Symbols are independent and each as likely. The best a bag of symbols can do is to name the most frequent
one.
"""

import numpy as np

from attention.data.sources import _lengths

_SYMBOLS = "abcdefgh"


def draw(rng: _lengths.Draws, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Strings, and their first symbol."""
    tokens = _lengths.uniform(rng, len(_SYMBOLS), lengths)
    return tokens, tokens[:, 0]


build = _lengths.builder(
    _lengths.Task("first_token", tuple(_SYMBOLS), _SYMBOLS, draw, bag=lambda counts: counts.argmax(axis=1))
)
