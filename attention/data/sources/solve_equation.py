"""The digit that x stands for in an equation modulo 5.

From "Neural Networks and the Chomsky Hierarchy" (Delétang et al. 2022, arXiv 2207.02098), a deterministic context-free
language: of ( 1 - x ) = 4 the answer is 2. The left side is an expression of ``modular_arithmetic(brackets=True)`` with x for
one of its digits, each as likely (the published code prefers digits that follow other symbols), and the right side its value.
Every digit is as often the answer.
"""

import numpy as np

from attention.data.sources import _expressions, _lengths

_ALPHABET = _expressions.ALPHABET.replace("*", "x") + "="
_X, _EQUALS = _ALPHABET.index("x"), _ALPHABET.index("=")


def draw(rng: _lengths.Draws, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Equations, and the value of x."""
    left, signs = _expressions.nested(rng, lengths - 2)
    rows = np.arange(len(lengths))
    tokens = np.pad(left, ((0, 0), (0, 2)), constant_values=-1)
    tokens[rows, lengths - 2] = _EQUALS
    tokens[rows, lengths - 1] = _expressions.value(left, signs)
    number = rng.below((signs != 0).sum(axis=1), len(lengths))
    place = ((signs != 0).cumsum(axis=1) > number[:, None]).argmax(axis=1)
    labels = tokens[rows, place]
    tokens[rows, place] = _X
    return tokens, labels


build = _lengths.builder(
    _lengths.Task("solve_equation", _expressions.DIGITS, _ALPHABET, draw, shortest=3, homepage=_lengths.CHOMSKY)
)
