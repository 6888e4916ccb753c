"""How far apart a and b are, 1, 2, 3 or 4, 5 to 8, or more: relative position, whatever the direction and the place.

In d a c c b f the distance is 3. A text has one a and one b, and four other symbols elsewhere, independent and each as
likely. Each class is as likely among those that fit into the text, then each distance of the class, then each place, then
each direction. A bag of symbols knows the length alone, and every length has the class 1.
"""

import numpy as np

from attention.data.sources import _lengths

_A, _B = 4, 5
_FROM = np.array([1, 2, 3, 5, 9])  # the least distance of each class
_CLASSES = ("1", "2", "3-4", "5-8", "9+")


def draw(rng: _lengths.Draws, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Strings with one a and one b, and the class of their distance."""
    n = len(lengths)
    tokens, rows = _lengths.uniform(rng, 4, lengths), np.arange(n)
    labels = rng.below((lengths[:, None] > _FROM).sum(axis=1), n)
    low, above = _FROM[labels], np.minimum(np.append(_FROM[1:], lengths.max())[labels], lengths)
    distance = low + rng.below(above - low, n)
    place, turned = rng.below(lengths - distance, n), rng.below(2, n) == 1
    tokens[rows, place], tokens[rows, place + distance] = np.where(turned, _B, _A), np.where(turned, _A, _B)
    return tokens, labels


build = _lengths.builder(
    _lengths.Task("distance", _CLASSES, "cdefab", draw, shortest=2, bag=lambda counts: np.zeros(len(counts), np.int64))
)
