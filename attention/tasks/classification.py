"""Texts are told apart: each has one of a few classes.

The loss of an example is its cross entropy, smoothed where ``config.training.label_smoothing`` says so and weighted by its
class where ``config.training.class_weights`` does. A run is scored by accuracy, macro-F1, negative log likelihood and
calibration error.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from attention import metrics
from attention.data.contracts import Dataset, Encoded
from attention.messages import shown
from attention.models.classifier import classifier
from attention.tasks import Batch, Examples, Facts, Metric, Outputs, Task, Telemetry, _telemetry, smoothed_cross_entropy
from attention.tasks._confusion import section
from attention.tasks._texts import SHOWN, check_kind, forward, named, other, places, sized

__all__: list[str] = []


class Predictions(NamedTuple):
    """What a run says of some texts.

    Attributes:
      labels: the class name predicted for each text.
      probabilities: float64 ``[n C]``, the mean over the members.
      classes: the class of each column.
      agreeing: int ``[n]``, members whose own prediction is that label.
      members: how many were asked.
    """

    labels: list[str]
    probabilities: np.ndarray
    classes: tuple[str, ...]
    agreeing: np.ndarray
    members: int


def build() -> Task:
    """The classes of texts."""
    return Task(
        model=classifier,
        sized=sized,
        lacks=lacks,
        answered=answered,
        example_weights=example_weights,
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
            Metric("accuracy", "acc", share=True),
            Metric("macro_f1", "F1", share=True),
            Metric("nll", "nll", higher_is_better=False),
            Metric("ece", "ece", higher_is_better=False),
        ),
        answers="label",
        served=served,
        class_weights=class_weights,
        rival="linear",
        telemetry=Telemetry(_telemetry.attention_sample, _telemetry.measure),
    )


def lacks(encoded: Encoded) -> str | None:
    """A split wants a label for every text."""
    if reason := other(encoded, "classes"):
        return reason
    return None if (encoded.labels >= 0).all() else "wants a label for every text"


def answered(encoded: Encoded) -> bool:
    """Whether any text has a label."""
    return bool((encoded.labels >= 0).any())


def class_weights(spec: str, data: Dataset) -> tuple[float, ...] | None:
    """One weight per class: ``n / (C n_c)`` where balanced, as given, or None. Raises ValueError for what it cannot be."""
    where = "config.training.class_weights"
    if spec == "none":
        return None
    if spec == "balanced":
        counts = np.bincount(data.splits["train"].labels, minlength=len(data.classes))
        if not counts.all():
            missing = data.classes[int(np.argmin(counts))]
            raise ValueError(f"{where}=balanced wants examples of every class; train has none of {missing!r}")
        return tuple(float(weight) for weight in counts.sum() / (len(counts) * counts))
    try:
        weights = tuple(float(item) for item in spec.split(","))
    except ValueError:
        raise ValueError(f"{where} wants none, balanced or numbers such as 1,2.5; got {spec!r}") from None
    if len(weights) != len(data.classes) or not all(0 < weight < math.inf for weight in weights):
        raise ValueError(f"{where} wants {len(data.classes)} numbers above 0, one per class; got {spec!r}")
    return weights


def example_weights(batch: Batch, class_weights: tuple[float, ...] | None) -> jax.Array:
    """``w_i c_i`` of each example: 0 for filler, else the weight of its class."""
    if class_weights is None:
        return batch["weight"]
    return batch["weight"] * jnp.asarray(class_weights, jnp.float32)[batch["labels"].clip(0)]


def scored(logits: jax.Array, batch: Batch, smoothing: Any) -> tuple[jax.Array, jax.Array]:
    """The loss of each example, and whether its class has the largest logit; logits are ``[B C]``."""
    labels = batch["labels"].clip(0)  # filler has -1, and weight 0
    return smoothed_cross_entropy(logits, labels, smoothing), jnp.argmax(logits, -1) == labels


def scores(outputs: Outputs, encoded: Encoded) -> dict[str, float]:
    """``metrics.evaluate_logits``."""
    return metrics.evaluate_logits(outputs["logits"], encoded.labels)


def predictions(outputs: Outputs, encoded: Encoded) -> dict[str, np.ndarray]:
    """The predicted class of each example, and whether it is right."""
    predicted = metrics.predictions(outputs["logits"])
    return {"correct": predicted == encoded.labels, "predicted": predicted.astype(np.int32)}


def served(outputs: Mapping[str, jax.Array], facts: Facts) -> dict[str, jax.Array]:
    """The probability of each class, ``[B C]``."""
    return {"probabilities": jax.nn.softmax(outputs["logits"])}


def answer(encoded: Encoded, answers: Sequence[str], facts: Facts) -> Encoded:
    """The examples with labels, given as names of classes."""
    names, indices = np.unique(np.asarray(answers), return_inverse=True)
    return adapt(dataclasses.replace(encoded, labels=indices), names.tolist(), facts)


def adapt(encoded: Encoded, classes: Sequence[str], facts: Facts) -> Encoded:
    """The examples with labels that index the run's classes, found by name. Raises ValueError for a class it has not."""
    check_kind(encoded, "classes")
    found = places(classes, np.unique(encoded.labels[encoded.labels >= 0]), facts)
    return dataclasses.replace(encoded, labels=np.append(found, np.int32(-1))[encoded.labels])  # -1 reads the last: no label


def read(outputs: Outputs, encoded: Encoded, facts: Facts) -> Predictions:
    """Classes and probabilities from ``[M n C]`` logits."""
    logits = outputs["logits"]
    probabilities = metrics.softmax(logits).mean(axis=0)
    chosen = probabilities.argmax(axis=-1)
    labels = [facts.classes[number] for number in chosen]
    agreeing = (metrics.predictions(logits) == chosen).sum(axis=0)
    return Predictions(labels, probabilities, facts.classes, agreeing, len(logits))


def told(found: Predictions, texts: Sequence[str]) -> str:
    """For each text the class, how many members agree, and the probability of every class, or of the likeliest of many."""
    blocks = []
    for text, label, row, agreeing in zip(texts, found.labels, found.probabilities, found.agreeing):
        agree = f", {agreeing} of {found.members} members agree" if found.members > 1 else ""
        order = np.argsort(-row, kind="stable")[:SHOWN]
        shares = "  ".join(f"{named(found.classes[number])} {row[number]:.4f}" for number in order)
        shares += f"  ... ({len(row)} classes)" if len(row) > SHOWN else ""
        blocks.append(f"{shown(text)}\n  {named(label)}{agree}\n  {shares}")
    return "\n".join(blocks)


def columns(found: Predictions, examples: Examples, facts: Facts) -> dict[str, Sequence[str | float]]:
    """The predicted class, the probability of each to nine digits, and the label where any is known."""
    made: dict[str, Sequence[str | float]] = {"predicted": found.labels}
    for name, column in zip(facts.classes, found.probabilities.T):
        made[f"p({name})"] = [float(f"{value:.9g}") for value in column]
    if answered(examples.encoded):
        made["label"] = [facts.classes[label] if label >= 0 else "" for label in examples.encoded.labels]
    return made


def confusion(outputs: Outputs, encoded: Encoded, classes: Sequence[str]) -> np.ndarray:
    """How often each label (row) was predicted as each class (column), summed over the members, int64 ``[C C]``."""
    return np.sum([metrics.confusion(member, encoded.labels, len(classes)) for member in outputs["logits"]], axis=0)


def details(outputs: Outputs, examples: Examples, facts: Facts) -> list[str]:
    """The confusion matrix, or of many classes the pairs that are confused most often."""
    counts = confusion(outputs, examples.encoded, facts.classes)
    return [section(counts, facts.classes, members=len(outputs["logits"]), answer="label")]
