"""The bit that is blanked out in a string written twice.

From "Neural Networks and the Chomsky Hierarchy" (Delétang et al. 2022, arXiv 2207.02098), a context-sensitive language: of
0 1 1 0 0 ? 1 0 the answer is 1, since the string is 0110. Bits are independent and fair, each place is blanked out as often; a
text of odd length ends with an empty symbol, ``_``.

The answer can be copied from the place half a text away. It can also be counted: a string written twice has an even number of
ones, so that the bag of symbols knows.
"""

import numpy as np

from attention.data.sources import _lengths

_BLANK, _EMPTY = 2, 3


def draw(rng: _lengths.Draws, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Doubled strings with one bit missing, and that bit."""
    half, rows = lengths // 2, np.arange(len(lengths))
    once = rng.below(2, len(lengths), int(half.max()))
    place = np.arange(lengths.max())
    tokens = once[rows[:, None], place % half[:, None]]
    tokens = np.where(place < 2 * half[:, None], tokens, np.where(place < lengths[:, None], _EMPTY, -1))
    hidden = rng.below(2 * half, len(lengths))
    labels = tokens[rows, hidden]
    tokens[rows, hidden] = _BLANK
    return tokens, labels


build = _lengths.builder(
    _lengths.Task(
        "missing_duplicate",
        ("0", "1"),
        "01?_",
        draw,
        shortest=2,
        bag=lambda counts: counts[:, 1] % 2,
        homepage=_lengths.CHOMSKY,
    )
)
