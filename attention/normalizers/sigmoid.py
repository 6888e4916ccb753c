r"""σ(s/τ + b) with b = -log n: every key is weighed on its own, nothing is normalised over the row.

```math
a_j = \sigma(s_j/\tau + b), \quad b = -\log n
```

When: no sum over the row is wanted, or several keys may each matter fully. $b = -\log n$ makes the row sum about 1 at the
start; the paper's n is one constant, here that of the row (`bias='row'`), a number, or learned per head. Wants normalised
queries and keys, or LayerScale, to train as steadily as softmax.
Source: Ramapuram et al. 2024 (arXiv 2409.04431).
Family: Each key on its own
"""

import math
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from attention.normalizers._common import (
    allowed_keys,
    check_temperature,
    close_weights,
    init_per_head,
    open_scores,
    pointwise_streaming,
    temperature_of,
    train_length,
)
from attention.records import Dims, Normalizer, NormalizerClaims, Params

__all__ = ["sigmoid"]


def sigmoid(
    scores: Float[Array, "*A"],
    where: Bool[Array, "..."] | None = None,
    *,
    axis: int = -1,
    temperature: float | Float[Array, "..."] = 1.0,
    bias: float | Float[Array, "..."] | None = None,
) -> Float[Array, "*A"]:
    """Sigmoid attention weights, ``a_j = σ(s_j/τ + b)``. Derivatives of second order are supported.

    Args:
      scores: ``[..., S]``, any float type; computed in float32 or wider and cast back.
      where: bool, broadcast to ``scores``, True = may attend; None allows all.
      axis: the axis of the keys.
      temperature: τ > 0, a number or an array that broadcasts to ``scores``.
      bias: b, a number or an array that broadcasts to ``scores``; None for ``-log n_i`` with n_i the number of allowed keys of
        row i, so that padding changes nothing.

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
    check_temperature(temperature)
    z = open_scores(scores, where) / temperature
    weights = jax.nn.sigmoid(z + (-jnp.log(allowed_keys(scores, where, axis)) if bias is None else bias))
    return close_weights(weights, scores, where)


def build(bias: float | Literal["row", "learned"] = "row", temperature: float | Literal["learned"] = 1.0) -> Normalizer:
    """Sigmoid at a fixed or learned temperature, with ``-log n_i`` as bias (``'row'``), a constant, or one learned per head.

    A learned bias starts at -log(training length).
    """
    tau = temperature_of(temperature)
    if isinstance(bias, float) and not math.isfinite(bias):
        raise ValueError(f"bias must be 'row', 'learned' or a finite number, got {bias}")

    def init(rng, dims: Dims) -> Params:
        params = {} if tau.init is None else tau.init(rng, dims)
        if bias == "learned":
            params |= init_per_head(-math.log(train_length(dims, "sigmoid(bias=learned)")), "bias")(rng, dims)
        return params

    def of(params):
        if bias == "learned":
            return params["bias"][:, None, None]
        return None if bias == "row" else bias

    def streamed(params, z, count, call):
        shift = -jnp.log(count) if bias == "row" else of(params)
        return jax.nn.sigmoid(z / tau.of(params) + shift)

    return Normalizer(
        apply=lambda params, scores, mask, call: sigmoid(scores, mask, temperature=tau.of(params), bias=of(params)),
        init=init if bias == "learned" else tau.init,
        reads="rows" if bias == "row" else "block",
        streaming=pointwise_streaming(streamed),
        claims=NormalizerClaims(row_sum="any", shift_invariant=False),
    )
