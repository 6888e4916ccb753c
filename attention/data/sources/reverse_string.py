"""A string of bits to be written from its end: 0 1 1 gives 1 1 0. For ``task=tagging``.

From "Neural Networks and the Chomsky Hierarchy" (Delétang et al. 2022, arXiv 2207.02098), where it is deterministic
context-free. A text is the string and a dot for each symbol of the output, at which that is wanted.
"""

import numpy as np

from attention.data.sources._tapes import gathered, of_symbols


def turned(read: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Each string from its end."""
    return gathered(read, np.maximum(lengths - 1 - np.arange(read.shape[1]), -1))


build = of_symbols("reverse_string", 2, turned)
