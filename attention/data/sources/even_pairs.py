"""Whether the pairs 01 and 10 in a string of bits are even in number together: whether it ends as it began.

From "Neural Networks and the Chomsky Hierarchy" (Delétang et al. 2022, arXiv 2207.02098), a regular language: in 0 1 0 1 1
there are 01, 10 and 01, three. Bits are independent and fair. The shortest text has two symbols here; the one of length 1,
which the paper has too, is even always. A bag of symbols says how likely two symbols drawn from it are to be the same.
"""

import numpy as np

from attention.data.sources import _lengths


def draw(rng: _lengths.Draws, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Strings of bits, and 1 where the pairs of unlike neighbours are odd in number."""
    tokens = _lengths.uniform(rng, 2, lengths)
    unlike = (tokens[:, 1:] != tokens[:, :-1]) & (tokens[:, 1:] >= 0)
    return tokens, unlike.sum(axis=1) % 2


def bag(counts: np.ndarray) -> np.ndarray:
    """Odd where a first and a last symbol drawn from the bag are more likely unlike than alike."""
    zeros, ones = counts.T
    return (2 * zeros * ones > zeros * (zeros - 1) + ones * (ones - 1)).astype(np.int64)


build = _lengths.builder(
    _lengths.Task("even_pairs", ("even", "odd"), "01", draw, shortest=2, bag=bag, homepage=_lengths.CHOMSKY)
)
