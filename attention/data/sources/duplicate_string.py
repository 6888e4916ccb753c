"""A string of bits to be written twice: 0 1 1 gives 0 1 1 0 1 1. For ``task=tagging``; context-sensitive."""

import numpy as np

from attention.data.sources._tapes import gathered, of_symbols


def twice(read: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Each string two times."""
    place = np.arange(2 * read.shape[1])
    return gathered(read, np.where(place < 2 * lengths, place % lengths, -1))


build = of_symbols("duplicate_string", 2, twice, times=2)
