"""Each text has a number.

::

  loss = (z - (y - m) / s)^2,   predicted y = m + s z

with m and s the mean and the standard deviation of the numbers of train, which the run keeps: what is learned is of one size
whatever the units, and all that is reported is in the units of the data. A run is scored by mean squared and absolute error,
and by the correlations of Pearson and Spearman.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from attention.data.contracts import Encoded, Scale
from attention.messages import shown
from attention.models.classifier import classifier
from attention.tasks import Batch, Examples, Facts, Metric, Outputs, Task, Telemetry, _telemetry
from attention.tasks._texts import check_kind, logits_of, other, sized

__all__: list[str] = []

SHOWN = 5  # errors


class Numbers(NamedTuple):
    """What a run says of some texts: the mean over the members, float64 ``[n]``, and what each says, ``[M n]``."""

    values: np.ndarray
    of_members: np.ndarray


def build() -> Task:
    """A number for each text."""
    return Task(
        model=classifier,
        sized=lambda model, vocab_size, num_classes: sized(model, vocab_size, 1),
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
            Metric("mse", "mse", higher_is_better=False),
            Metric("mae", "mae", higher_is_better=False),
            Metric("pearson", "pearson"),
            Metric("spearman", "spearman"),
        ),
        answers="number",
        served=served,
        telemetry=Telemetry(_telemetry.attention_sample, _telemetry.measure),
        smooths=False,
    )


def lacks(encoded: Encoded) -> str | None:
    """A split wants a number for every text."""
    return other(encoded, "numbers") or (None if answered(encoded) else "wants a number for every text")


def answered(encoded: Encoded) -> bool:
    """Whether the texts have numbers."""
    return encoded.labels.dtype.kind == "f"


def scored(logits: jax.Array, batch: Batch, smoothing: Any) -> tuple[jax.Array, jax.Array]:
    """The squared error of each example, in standard deviations; none is right or wrong."""
    losses = jnp.square(logits[:, 0].astype(jnp.float32) - batch["labels"])
    return losses, jnp.full_like(losses, jnp.nan)


def forward(model: Any, params: Any, given: Mapping[str, jax.Array], rng: jax.Array, *, longest: int) -> dict[str, jax.Array]:
    """What a member says of a batch, in standard deviations from the mean, ``[B]``."""
    return {"standardised": logits_of(model, params, given, rng)[:, 0]}


def in_units(outputs: Mapping[str, Any], scale: Scale | None) -> Any:
    """Outputs in the units of the data."""
    assert scale is not None  # of a run that has learned numbers
    return scale.mean + scale.deviation * outputs["standardised"]


def scores(outputs: Outputs, encoded: Encoded) -> dict[str, float]:
    """How near the numbers are, in the units of the data.

    * mse, mae: means of squared and absolute errors;
    * pearson: the correlation; spearman: that of the ranks, equal numbers with their mean rank. NaN where all numbers, the
      right or the told ones, are equal.

    Args:
      outputs: "standardised" ``[n]``.
      encoded: the split, with numbers and their scale.

    Returns:
      ``{"mse", "mae", "pearson", "spearman", "count"}``; count is n.

    Raises:
      ValueError: for a split without numbers, or of another size.
    """
    if not answered(encoded):
        raise ValueError("example 0 has no number; metrics want a number for all")
    if len(encoded) != len(outputs["standardised"]):
        raise ValueError(f"{len(outputs['standardised'])} numbers are told of {len(encoded)} texts")
    found, right = in_units(_float64(outputs), encoded.scale), encoded.labels
    return {
        "mse": float(np.mean(np.square(found - right))),
        "mae": float(np.mean(np.abs(found - right))),
        "pearson": correlation(found, right),
        "spearman": correlation(_ranks(found), _ranks(right)),
        "count": len(encoded),
    }


def _float64(outputs: Outputs) -> dict[str, np.ndarray]:
    return {name: np.asarray(array, np.float64) for name, array in outputs.items()}


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Pearson's correlation of two arrays ``[n]``; NaN where one of them is constant."""
    a, b = a - a.mean(), b - b.mean()
    sizes = np.linalg.norm(a) * np.linalg.norm(b)
    return float(np.clip(a @ b / sizes, -1.0, 1.0)) if sizes > 0 else float("nan")


def _ranks(values: np.ndarray) -> np.ndarray:
    """The rank of each, from 1; equal ones have their mean rank. NaN makes all of them NaN."""
    from scipy.stats import rankdata  # here, because it takes a second

    return rankdata(values)


def predictions(outputs: Outputs, encoded: Encoded) -> dict[str, np.ndarray]:
    """What is told of each example, in the units of the data."""
    return {"predicted": in_units(_float64(outputs), encoded.scale)}


def served(outputs: Mapping[str, jax.Array], facts: Facts) -> dict[str, jax.Array]:
    """The number, ``[B]``."""
    return {"number": in_units(outputs, facts.scale)}


def answer(encoded: Encoded, answers: Sequence[str], facts: Facts) -> Encoded:
    """The examples with numbers, given in digits."""
    return dataclasses.replace(encoded, labels=np.array([float(each) for each in answers]), scale=facts.scale)


def adapt(encoded: Encoded, classes: Sequence[str], facts: Facts) -> Encoded:
    """The examples with the scale of the run."""
    check_kind(encoded, "numbers")
    return dataclasses.replace(encoded, scale=facts.scale)


def read(outputs: Outputs, encoded: Encoded, facts: Facts) -> Numbers:
    """Numbers from ``[M n]`` outputs."""
    found = in_units(_float64(outputs), facts.scale)
    return Numbers(found.mean(axis=0), found)


def told(found: Numbers, texts: Sequence[str]) -> str:
    """For each text its number, and how far apart the members are."""
    lines = []
    for text, value, own in zip(texts, found.values, found.of_members.T):
        spread = f", members {own.min():.6g} to {own.max():.6g}" if len(own) > 1 else ""
        lines += [shown(text), f"  {value:.6g}{spread}"]
    return "\n".join(lines)


def columns(found: Numbers, examples: Examples, facts: Facts) -> Mapping[str, Sequence[float]]:
    """The number told, and the right one where it is known."""
    made = {"predicted": found.values.tolist()}
    return {**made, "number": examples.encoded.labels.tolist()} if answered(examples.encoded) else made


def details(outputs: Outputs, examples: Examples, facts: Facts) -> list[str]:
    """The largest errors of the mean over the members."""
    found, right = read(outputs, examples.encoded, facts).values, examples.encoded.labels
    worst = np.argsort(-np.abs(found - right), kind="stable")[:SHOWN]
    lines = [f"{right[row]:>12.6g}  {found[row]:>12.6g}  {shown(examples.texts[row])}" for row in worst]
    return ["\n".join(["the largest errors", f"{'number':>12}  {'predicted':>12}  text", *lines])]
