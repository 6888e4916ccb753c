"""Each text has any number of labels, none among them.

The loss of an example is the mean over the labels of the binary cross entropy of each, ``-y log p - (1 - y) log (1 - p)`` with
``p`` the sigmoid of its logit; smoothed, y is ``(1 - s) y + s / 2``. A label is told where its probability is above one half. A
run is scored by micro-F1, macro-F1, the share of texts all of whose labels are right, and negative log likelihood per label.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from attention.data.contracts import Encoded
from attention.messages import shown
from attention.models.classifier import classifier
from attention.tasks import Batch, Examples, Facts, Metric, Outputs, Task, Telemetry, _telemetry
from attention.tasks._texts import SHOWN, check_kind, forward, named, other, places, sized
from attention.text_table import table

__all__: list[str] = []


class LabelSets(NamedTuple):
    """What a run says of some texts.

    Attributes:
      labels: the names told of each text.
      probabilities: float64 ``[n C]``, the mean over the members.
      classes: the label of each column.
      agreeing: int ``[n]``, members who tell the very same.
      members: how many were asked.
    """

    labels: list[tuple[str, ...]]
    probabilities: np.ndarray
    classes: tuple[str, ...]
    agreeing: np.ndarray
    members: int


def build() -> Task:
    """Any number of labels for each text."""
    return Task(
        model=classifier,
        sized=sized,
        lacks=lacks,
        answered=answered,
        example_weights=lambda batch, class_weights: batch["weight"],
        scored=scored,
        forward=forward,
        scores=scores,
        predictions=predictions,
        answer=answer,
        adapt=adapt,
        read=read,
        told=told,
        columns=columns,
        details=details,
        metrics=(
            Metric("micro_f1", "micro F1", share=True),
            Metric("macro_f1", "F1", share=True),
            Metric("subset_accuracy", "all right", share=True),
            Metric("nll", "nll", higher_is_better=False),
        ),
        answers="labels",
        served=lambda outputs, facts: {"probabilities": jax.nn.sigmoid(outputs["logits"])},
        telemetry=Telemetry(_telemetry.attention_sample, _telemetry.measure),
    )


def lacks(encoded: Encoded) -> str | None:
    """A split wants a set of labels for every text; the empty one is one."""
    return other(encoded, "sets of labels") or (None if answered(encoded) else "wants labels for every text")


def answered(encoded: Encoded) -> bool:
    """Whether the texts have sets of labels."""
    return encoded.labels.ndim > 1


def scored(logits: jax.Array, batch: Batch, smoothing: Any) -> tuple[jax.Array, jax.Array]:
    """The mean binary cross entropy of the labels of each example, and whether all are right."""
    labels = batch["labels"].clip(0).astype(jnp.float32)  # filler has -1, and weight 0
    logits = logits.astype(jnp.float32)
    losses = jax.nn.softplus(logits) - ((1.0 - smoothing) * labels + smoothing / 2) * logits
    return jnp.mean(losses, axis=-1), jnp.all((logits > 0) == (labels > 0), axis=-1)


def scores(outputs: Outputs, encoded: Encoded) -> dict[str, float]:
    """How good the labels told are.

    * micro_f1: ``2 tp / (2 tp + fp + fn)`` over all texts and labels, 0 where none is right or told;
    * macro_f1: the mean of the same over the labels that occur among the right or the told ones;
    * subset_accuracy: share of texts whose labels are told, all of them and no other;
    * nll: mean over texts and labels of ``-log p`` of what is right, in nats.

    A row of logits that is not finite tells no label, counts as wrong, and makes nll NaN.

    Args:
      outputs: logits ``[n C]``.
      encoded: the split, with labels.

    Returns:
      ``{"micro_f1", "macro_f1", "subset_accuracy", "nll", "count"}``; count is n.

    Raises:
      ValueError: for a split without labels, or of another size.
    """
    logits, right = _checked(outputs, encoded)
    found = _told(logits)
    hits, both = (found & right).sum(axis=0), found.sum(axis=0) + right.sum(axis=0)
    occurring = both > 0
    nll = float("nan")
    if np.isfinite(logits).all():
        nll = float(np.mean(np.logaddexp(0.0, logits) - np.where(right, logits, 0.0)))
    return {
        "micro_f1": float(2 * hits.sum() / max(both.sum(), 1)),
        "macro_f1": float(np.mean(2 * hits[occurring] / both[occurring])) if occurring.any() else 0.0,
        "subset_accuracy": float(_all_right(logits, right).mean()),
        "nll": nll,
        "count": len(encoded),
    }


def _checked(outputs: Outputs, encoded: Encoded) -> tuple[np.ndarray, np.ndarray]:
    """Logits as float64, and which labels are right, bool ``[n C]``."""
    logits, labels = np.asarray(outputs["logits"], np.float64), encoded.labels
    if not answered(encoded):
        raise ValueError("example 0 has no labels; metrics want a set of labels for all")
    if logits.shape != labels.shape or not len(labels):
        raise ValueError(f"logits and labels [n C] wanted, got shapes {logits.shape} and {labels.shape}")
    return logits, labels > 0


def _told(logits: np.ndarray) -> np.ndarray:
    """Which labels have a probability above one half, bool ``[... C]``; none of a row that is not finite."""
    return (logits > 0) & np.isfinite(logits).all(axis=-1, keepdims=True)


def _all_right(logits: np.ndarray, right: np.ndarray) -> np.ndarray:
    return (_told(logits) == right).all(axis=-1) & np.isfinite(logits).all(axis=-1)


def predictions(outputs: Outputs, encoded: Encoded) -> dict[str, np.ndarray]:
    """The labels told of each example, and whether these are the right ones."""
    logits, right = _checked(outputs, encoded)
    return {"correct": _all_right(logits, right), "predicted": _told(logits).astype(np.int8)}


def answer(encoded: Encoded, answers: Sequence[Sequence[str]], facts: Facts) -> Encoded:
    """The examples with labels, given as names for each."""
    classes = sorted({name for names in answers for name in names})
    number = {name: place for place, name in enumerate(classes)}
    labels = np.zeros((len(answers), len(classes)), np.int8)
    for row, names in zip(labels, answers):
        row[[number[name] for name in names]] = 1
    return adapt(dataclasses.replace(encoded, labels=labels), classes, facts)


def adapt(encoded: Encoded, classes: Sequence[str], facts: Facts) -> Encoded:
    """The examples with a column for each of the run's classes, found by name. Raises ValueError for a label it has not."""
    check_kind(encoded, "sets of labels")
    if not answered(encoded):
        return encoded
    used = np.flatnonzero(encoded.labels.any(axis=0))
    labels = np.zeros((len(encoded), len(facts.classes)), np.int8)
    labels[:, places(classes, used, facts)[used]] = encoded.labels[:, used]
    return dataclasses.replace(encoded, labels=labels)


def read(outputs: Outputs, encoded: Encoded, facts: Facts) -> LabelSets:
    """Labels and probabilities from ``[M n C]`` logits."""
    logits = np.asarray(outputs["logits"], np.float64)
    from scipy import special  # here, because it takes a third of a second

    probabilities = special.expit(logits).mean(axis=0)
    chosen = probabilities > 0.5
    labels = [tuple(name for name, there in zip(facts.classes, row) if there) for row in chosen]
    agreeing = (_told(logits) == chosen).all(axis=-1).sum(axis=0)
    return LabelSets(labels, probabilities, facts.classes, agreeing, len(logits))


def told(found: LabelSets, texts: Sequence[str]) -> str:
    """For each text the labels with their probabilities, the likeliest first, and how many members agree."""
    lines = []
    for text, row, agreeing in zip(texts, found.probabilities, found.agreeing):
        order = np.argsort(-row, kind="stable")
        shares = [f"{named(found.classes[number])} {row[number]:.4f}" for number in order]
        above = "  ".join(shares[: int((row > 0.5).sum())])
        agree = f", {agreeing} of {found.members} members agree" if found.members > 1 else ""
        lines += [shown(text), f"  {above or f'no label above 0.5, the likeliest is {shares[0]}'}{agree}"]
    return "\n".join(lines)


def columns(found: LabelSets, examples: Examples, facts: Facts) -> Mapping[str, Sequence[str | float | tuple[str, ...]]]:
    """The labels told, the probability of each to nine digits, and the right labels where they are known."""
    made: dict[str, Sequence[str | float | tuple[str, ...]]] = {"predicted": found.labels}
    for name, column in zip(facts.classes, found.probabilities.T):
        made[f"p({name})"] = [float(f"{value:.9g}") for value in column]
    if answered(examples.encoded):
        rows = examples.encoded.labels > 0
        made["labels"] = [tuple(name for name, there in zip(facts.classes, row) if there) for row in rows]
    return made


def details(outputs: Outputs, examples: Examples, facts: Facts) -> list[str]:
    """F1 of each label with the texts that have it, that it was told of, and both; of many labels the most frequent ones."""
    found, right = _told(np.asarray(outputs["logits"], np.float64)), examples.encoded.labels > 0
    members = len(found)
    counts = np.stack([members * right.sum(axis=0), found.sum(axis=(0, 1)), (found & right).sum(axis=(0, 1))])
    order = np.argsort(-counts[0], kind="stable")[:SHOWN]
    rows = [["label", "F1", "texts", "told", "both"]]
    for number in order:
        there, said, both = counts[:, number].tolist()
        f1 = f"{200 * both / (there + said):.2f} %" if there + said else "-"
        rows.append([named(facts.classes[number]), f1, str(there), str(said), str(both)])
    which = f", the {SHOWN} most frequent of {len(facts.classes)}" if len(facts.classes) > SHOWN else ""
    over = f", summed over {members} members" if members > 1 else ""
    return [f"each label{which}{over}\n{table(rows)}"]
