"""Where a walk on a circle of five places ends: the sum of its steps -, 0 and + modulo 5; a bag of symbols knows.

From "Neural Networks and the Chomsky Hierarchy" (Delétang et al. 2022, arXiv 2207.02098), a regular language: + + 0 - + ends
at 2. The walk begins at 0 and its steps are independent, each as likely; the places are as likely only for long walks.
"""

import numpy as np

from attention.data.sources import _lengths

PLACES = 5


def draw(rng: _lengths.Draws, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Walks, and the place where each ends."""
    tokens = _lengths.uniform(rng, 3, lengths)
    return tokens, np.where(tokens >= 0, tokens - 1, 0).sum(axis=1) % PLACES


build = _lengths.builder(
    _lengths.Task(
        "cycle_navigation",
        tuple(map(str, range(PLACES))),
        "-0+",
        draw,
        bag=lambda counts: (counts[:, 2] - counts[:, 0]) % PLACES,
        homepage=_lengths.CHOMSKY,
    )
)
