"""Whether the ones in a string of bits are even or odd in number; a bag of symbols knows.

From "Neural Networks and the Chomsky Hierarchy" (Delétang et al. 2022, arXiv 2207.02098), a regular language: 0 1 1 1 is odd.
Bits are independent and fair. Every bit counts, so nothing can be learned from a part of the text.
"""

import numpy as np

from attention.data.sources import _lengths


def draw(rng: _lengths.Draws, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Strings of bits, and the number of ones modulo 2."""
    tokens = _lengths.uniform(rng, 2, lengths)
    return tokens, (tokens == 1).sum(axis=1) % 2


build = _lengths.builder(
    _lengths.Task("parity", ("even", "odd"), "01", draw, bag=lambda counts: counts[:, 1] % 2, homepage=_lengths.CHOMSKY)
)
