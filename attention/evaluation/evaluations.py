"""What an evaluation finds: scores of the members, beside them those of a rival, and what they are of."""

from typing import Any, NamedTuple

import numpy as np

from attention.tasks import Examples


class Clean(NamedTuple):
    """The scores on those examples whose texts were in no split that was trained or chosen on: ``examples`` of them."""

    examples: int
    members: list[dict[str, Any]]
    summary: dict[str, dict[str, float | None]]


class Evaluation(NamedTuple):
    """How good a run is on examples of which it is known what is right.

    Attributes:
      split: its name.
      members: per member the seed and the scores.
      summary: per metric ``metrics.summarize`` over the members.
      by_length: ``by_length.ranges``, lengths in tokens after truncation; empty where examples are not right or wrong.
      of_words: whether each text counts there with the share of its words that are right.
      predictions: what the run says of every example, as ``Trained.predict`` returns it.
      outputs: the arrays behind it, ``[M n ...]``.
      examples: the examples.
      clean: the scores on those that are not ``Examples.seen``; None where all or none are, or that is not known.
    """

    split: str
    members: list[dict[str, Any]]
    summary: dict[str, dict[str, float | None]]
    by_length: list[dict[str, Any]]
    of_words: bool
    predictions: Any
    outputs: dict[str, np.ndarray]
    examples: Examples
    clean: Clean | None


class Rivalled(NamedTuple):
    """The spec of a rival, its scores, and those on the examples of ``Clean``, where there are such."""

    spec: str
    scores: dict[str, float]
    clean: dict[str, float] | None
