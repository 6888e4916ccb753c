"""Every other symbol of a string of bits and then the rest: 0 0 1 1 0 gives 0 1 0 1 0. For ``task=tagging``.

From "Neural Networks and the Chomsky Hierarchy" (Delétang et al. 2022, arXiv 2207.02098), where it is context-sensitive. A
text is the string and a dot for each symbol of the output, at which that is wanted. As in the authors' code, the first to be
written are the symbols at places 1, 3, ... counted from 0, and then those at 0, 2, ...
"""

import numpy as np

from attention.data.sources._tapes import gathered, of_symbols


def odds_first(read: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """The symbols at odd places, counted from 0, before those at even ones."""
    place, odds = np.arange(read.shape[1]), lengths // 2
    taken = np.where(place < odds, 2 * place + 1, 2 * (place - odds))
    return gathered(read, np.where(place < lengths, taken, -1))


build = of_symbols("odds_first", 2, odds_first)
