"""Whether a stands before b: the direction from one symbol to the other, however far apart.

d a c c b f is a yes. A text has one a and one b, every pair of places as likely, and four other symbols elsewhere, independent
and each as likely. A bag of symbols knows nothing; the first or the last symbol knows where it is a or b.
"""

import numpy as np

from attention.data.sources import _lengths

_A, _B = 4, 5


def draw(rng: _lengths.Draws, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Strings with one a and one b, and 1 where a comes first."""
    tokens, rows = _lengths.uniform(rng, 4, lengths), np.arange(len(lengths))
    a, b = _lengths.two_places(rng, lengths)
    tokens[rows, a], tokens[rows, b] = _A, _B
    return tokens, (a < b).astype(np.int64)


build = _lengths.builder(
    _lengths.Task("order", ("no", "yes"), "cdefab", draw, shortest=2, bag=lambda counts: np.zeros(len(counts), np.int64))
)
