"""σ(s/τ + b) with b = -log n: every key is weighed on its own, nothing is normalised over the row."""

import math
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from attention.normalizers._common import (
    allowed_keys,
    check_temperature,
    check_where,
    temperature_of,
    widen,
)
from attention.records import Normalizer

__all__ = ["sigmoid"]


def sigmoid(
    scores: Float[Array, "*A"],
    where: Bool[Array, "..."] | None = None,
    *,
    axis: int = -1,
    temperature: float | Float[Array, "..."] = 1.0,
    bias: float | None = None,
) -> Float[Array, "*A"]:
    """Sigmoid attention weights, ``a_j = σ(s_j/τ + b)``.

    Args:
      scores: ``[..., S]``, any float type; computed in float32 or wider and cast back.
      where: bool, broadcast to ``scores``, True = may attend; None allows all.
      axis: the axis of the keys.
      temperature: τ > 0, a number or an array that broadcasts to ``scores``.
      bias: b; None for ``-log n_i`` with n_i the number of allowed keys of row i, so that padding changes nothing.

    Returns:
      Weights in [0, 1] of the shape and type of ``scores``; rows sum to anything. Masked entries are exactly 0 with gradient
      exactly 0, so a row without an allowed key is all zeros. A NaN score makes its own weight NaN.

    Raises:
      ValueError: for a temperature that is not positive, or a mask that is not boolean or does not broadcast.

    Example:
      >>> attention.sigmoid(jnp.array([0.0, 0.0]))  # σ(-log 2) = 1/3
      [0.33333334, 0.33333334]

    Source: Ramapuram et al. 2024 (arXiv 2409.04431), eq. 3. The paper's n is one constant, the training length; n_i here.
    """
    if isinstance(temperature, (int, float)):
        check_temperature(temperature)
    check_where(scores, where)
    z = widen(scores) / temperature
    z = z + (-jnp.log(allowed_keys(scores, where, axis)) if bias is None else bias)
    weights = jax.nn.sigmoid(z if where is None else jnp.where(where, z, 0.0))
    if where is not None:
        weights = jnp.where(where, weights, 0.0)
    return weights.astype(scores.dtype)


def build(bias: float | Literal["row"] = "row", temperature: float | Literal["learned"] = 1.0) -> Normalizer:
    """Sigmoid with ``-log n_i`` as bias (``'row'``) or a constant, at a fixed or learned temperature."""
    tau = temperature_of(temperature)
    if bias != "row" and not math.isfinite(bias):
        raise ValueError(f"bias must be 'row' or a finite number, got {bias}")

    def apply(params, scores, mask, call):
        return sigmoid(scores, mask, temperature=tau.of(params), bias=None if isinstance(bias, str) else bias)

    return Normalizer(
        apply=apply,
        init=tau.init,
        reads="rows" if bias == "row" else "block",
        row_sum="any",
        shift_invariant=False,
    )
