"""The square root of a number in bits, the highest first, rounded down: 1 0 0 1 0 1 gives 1 1 0. For ``task=tagging``.

From "Neural Networks and the Chomsky Hierarchy" (Delétang et al. 2022, arXiv 2207.02098), where it is context-sensitive: the
root of 37 is 6. Numbers are those from 1 on that have no more bits than the string, each as likely. The output has half as
many bits, rounded up, zeros in front, and the tape a dot for each.
"""

import math

import numpy as np

from attention.data.sources._binary import bits, padded, until, value
from attention.data.sources._lengths import Draws
from attention.data.sources._tapes import Strings, Tape, builder


def _room(length: np.ndarray) -> np.ndarray:
    return (length + 1) // 2


def draw(rng: Draws, lengths: np.ndarray) -> Strings:
    """Numbers and their roots."""
    inside = np.arange(int(lengths.max())) < lengths[:, None]
    read = until(rng, len(lengths), inside.shape[1], lambda ones, rows: np.any(ones & inside[rows], axis=1))
    roots = []
    for row, length, room in zip(read.tolist(), lengths.tolist(), _room(lengths).tolist()):
        root = bits(math.isqrt(value(row[:length][::-1])))
        roots.append([0] * (room - len(root)) + root[::-1])
    return Strings(np.where(inside, read, -1), padded(roots))


build = builder(Tape("compute_sqrt", ("0", "1"), draw, _room, 2))
