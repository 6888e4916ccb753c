"""The value modulo 5 of digits with + - * between them, or with + and - in brackets.

From "Neural Networks and the Chomsky Hierarchy" (Delétang et al. 2022, arXiv 2207.02098). Without brackets it is a regular
language: 1 + 2 * 3 is 2; digits and operators are independent, each as likely, and lengths are odd. With ``brackets=True`` it
is a deterministic context-free language: ( 1 - ( - 3 ) ) is 4; the published grammar and, as there, no products. Without
brackets 0 is somewhat more frequent than the others among short texts, with them no value is.
"""

import numpy as np

from attention.data.contracts import Source
from attention.data.sources import _expressions, _lengths


def draw_nested(rng: _lengths.Draws, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Expressions in brackets, and their values."""
    tokens, signs = _expressions.nested(rng, lengths)
    return tokens, _expressions.value(tokens, signs)


FLAT = _lengths.Task(
    "modular_arithmetic",
    _expressions.DIGITS,
    _expressions.ALPHABET,
    _expressions.flat,
    step=2,
    options={"brackets": False},
    homepage=_lengths.CHOMSKY,
)
NESTED = FLAT._replace(draw=draw_nested, step=1, options={"brackets": True})


def build(
    brackets: bool = False,
    train: int = 50_000,
    validation: int = 1_000,
    test: int = 1_000,
    lengths: int = 2_000,
    min_length: int = 1,
    max_length: int = 40,
    test_length: int | None = None,
    data_dir: str | None = None,
) -> Source:
    """Generated, prepared once per set of options and seed as a TFDS data set.

    Args:
      brackets: whether with brackets, and without products.
      train: examples, at least 1.
      validation: at least 1.
      test: of the lengths of train, at least 1.
      lengths: examples of the split ``lengths``, whose lengths go on to ``test_length``; 0 for no such split.
      min_length: symbols of a text, at least 1.
      max_length: of train, validation and test; at least ``min_length``.
      test_length: of ``lengths``, at least ``max_length``; None for five times ``max_length``.
      data_dir: where TFDS keeps its data sets; None for ``$TFDS_DATA_DIR``, else ``~/tensorflow_datasets``.

    Raises:
      ValueError: for an option out of range.
    """
    sizes = _lengths.Sizes(train, validation, test, lengths, min_length, max_length, test_length)
    return _lengths.source(NESTED if brackets else FLAT, sizes, data_dir)
