"""What a run is asked to learn: as far as validation, test and the table of results differ by it."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np

from attention.data.dataset import Encoded
from attention.evaluation import trained
from attention.tasks import seq2seq
from attention import metrics
from attention.tasks import _telemetry as telemetry


class Task(NamedTuple):
    """A task.

    Attributes:
      outputs: (model, params, encoded, settings, record) -> what each member says of a split.
      score: (what one member says, encoded) -> the metrics by name, and "count".
      predicted: (what one member says, encoded) -> what it says of each example: "correct", bool ``[n]``, and for classes
        "predicted", int32 ``[n]``.
      known: whether a split says what is right.
      metrics: the names, the one that validations compare by first; "nll" decides between equal ones.
      shares: those of them that are shares, shown in percent.
      telemetry: as ``telemetry.measure``.
    """

    outputs: Callable[..., Iterable[Any]]
    score: Callable[[Any, Encoded], dict[str, float]]
    predicted: Callable[[Any, Encoded], dict[str, np.ndarray]]
    known: Callable[[Encoded], bool]
    metrics: tuple[str, ...]
    shares: tuple[str, ...]
    telemetry: Callable[..., dict[str, Any]]


def _classes(predicted: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
    return {"correct": predicted == labels, "predicted": predicted.astype(np.int32)}


TASKS = {
    "classification": Task(
        outputs=trained.run_logits,
        score=lambda logits, encoded: metrics.evaluate_logits(logits, encoded.labels),
        predicted=lambda logits, encoded: _classes(metrics.predictions(logits), encoded.labels),
        known=lambda encoded: bool((encoded.labels >= 0).all()),
        metrics=("accuracy", "macro_f1", "nll", "ece"),
        shares=("accuracy", "macro_f1"),
        telemetry=telemetry.measure,
    ),
    "seq2seq": Task(
        outputs=seq2seq.run_written,
        score=seq2seq.score,
        predicted=lambda written, encoded: {"correct": seq2seq.matches(written.tokens, encoded.targets)},
        known=lambda encoded: encoded.targets is not None,
        metrics=seq2seq.METRICS,
        shares=("exact_match", "token_accuracy"),
        telemetry=lambda *arguments, **options: {},
    ),
}
