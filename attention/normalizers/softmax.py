r"""softmax(s/τ): positive weights that sum to one, at a fixed or learned temperature τ.

```math
a_j = \frac{e^{s_j/\tau}}{\sum_k e^{s_k/\tau}}
```

The temperature τ runs from one-hot (τ → 0) to uniform (τ → ∞).

When: the default, and what the rest must beat. `temperature='learned'` gives each head its own τ, starting at 1. One
property singles it out: the ratio of two weights depends on the difference of their two scores alone.
Source: Bridle 1990; Bahdanau et al. 2014 (arXiv 1409.0473), Vaswani et al. 2017 (arXiv 1706.03762).
Family: Softmax and its scale
"""

import functools
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from attention.normalizers._common import (
    check_temperature,
    exponential_streaming,
    open_scores,
    same_rank,
    temperature_of,
)
from attention.precision import widen
from attention.records import Normalizer

__all__ = ["softmax"]


def softmax(
    scores: Float[Array, "*A"],
    where: Bool[Array, "..."] | None = None,
    *,
    axis: int = -1,
    temperature: float | Float[Array, "..."] = 1.0,
) -> Float[Array, "*A"]:
    """Softmax over the allowed keys, ``a_j = exp(s_j/τ) / Σ_k exp(s_k/τ)``. Derivatives of second order are supported.

    Args:
      scores: ``[..., S]``, any float type; computed in float32 or wider and cast back.
      where: bool, broadcast to ``scores``, True = may attend; None allows all.
      axis: the axis of the keys.
      temperature: τ > 0, a number or an array that broadcasts to ``scores``.

    Returns:
      Weights of the shape and type of ``scores``. Masked entries are exactly 0 and so are their gradients; a row without
      an allowed key is all zeros. A NaN or +inf among the allowed scores of a row, or nothing but -inf, makes the row NaN.

    Raises:
      ValueError: for a temperature that is not positive, or a mask that is not boolean or does not broadcast.

    Example:
      >>> attention.softmax(jnp.array([1.0, 2.0, 3.0]))
      [0.09003057, 0.24472848, 0.66524094]

    Source: Bridle 1990; in attention Bahdanau et al. 2014 (arXiv 1409.0473), Vaswani et al. 2017 (arXiv 1706.03762).
    """
    check_temperature(temperature)
    z = open_scores(scores, where) / temperature
    if where is None:
        return jax.nn.softmax(z, axis=axis).astype(scores.dtype)
    return _masked(z, same_rank(where, scores), axis).astype(scores.dtype)


@functools.partial(jax.custom_jvp, nondiff_argnums=(2,))
def _masked(z: jax.Array, where: jax.Array, axis: int) -> jax.Array:
    """Softmax over the allowed keys in one pass less than ``jax.nn.softmax`` and a mask, and backward from its result alone."""
    top = jnp.max(z, axis=axis, keepdims=True, where=where, initial=-jnp.inf)
    top = jnp.where(jnp.any(where, axis=axis, keepdims=True), top, 0.0)
    top = top + 0.0 * top  # NaN where it is not finite, which makes all allowed keys of the row NaN, and no masked ones
    shares = jnp.exp(jnp.where(where, z - top, -jnp.inf))
    total = jnp.sum(shares, axis=axis, keepdims=True)
    return shares / jnp.where(total > 0.0, total, 1.0)


@_masked.defjvp
def _masked_jvp(
    axis: int, primals: tuple[jax.Array, jax.Array], tangents: tuple[jax.Array, Any]
) -> tuple[jax.Array, jax.Array]:
    weights, change = _masked(*primals, axis), tangents[0]
    return weights, weights * (change - jnp.sum(weights * change, axis=axis, keepdims=True))


def build(temperature: float | Literal["learned"] = 1.0) -> Normalizer:
    """Softmax at a fixed temperature, or at one learned per head and layer (``'learned'``, starting at 1)."""
    tau = temperature_of(temperature)

    def apply(params, scores, mask, call):
        return softmax(scores, mask, temperature=tau.of(params))

    def exponents(params, scores, count, call):
        return widen(scores) / tau.of(params)

    return Normalizer(apply=apply, init=tau.init, streaming=exponential_streaming(exponents), plain=temperature == 1.0)
