"""A string of five symbols to be written in rising order: 3 0 4 0 gives 0 0 3 4. For ``task=tagging``.

From "Neural Networks and the Chomsky Hierarchy" (Delétang et al. 2022, arXiv 2207.02098), where it is context-sensitive. A
text is the string and a dot for each symbol of the output, at which that is wanted.
"""

import numpy as np

from attention.data.sources._tapes import of_symbols

_SYMBOLS = 5


def rising(read: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Each string sorted."""
    found = np.sort(np.where(read < 0, _SYMBOLS, read), axis=1)
    return np.where(found == _SYMBOLS, -1, found)


build = of_symbols("bucket_sort", _SYMBOLS, rising)
