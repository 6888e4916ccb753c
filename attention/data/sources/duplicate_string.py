"""A string of bits to be written twice: 0 1 1 gives 0 1 1 0 1 1. For ``task=tagging``.

From "Neural Networks and the Chomsky Hierarchy" (Delétang et al. 2022, arXiv 2207.02098), where it is context-sensitive. A
text is the string and a dot for each symbol of the output, at which that is wanted.
"""

import numpy as np

from attention.data.sources._tapes import gathered, of_symbols


def twice(read: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Each string two times."""
    place = np.arange(2 * read.shape[1])
    return gathered(read, np.where(place < 2 * lengths, place % lengths, -1))


build = of_symbols("duplicate_string", 2, twice, times=2)
