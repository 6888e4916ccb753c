"""A string of bits to be written from its end: 0 1 1 gives 1 1 0. For ``task=tagging``; deterministic context-free."""

import numpy as np

from attention.data.sources._tapes import gathered, of_symbols


def turned(read: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Each string from its end."""
    return gathered(read, np.maximum(lengths - 1 - np.arange(read.shape[1]), -1))


build = of_symbols("reverse_string", 2, turned)
