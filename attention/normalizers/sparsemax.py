"""sparsemax(s/τ): the nearest point of the simplex, with exact zeros."""

from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from attention.normalizers._common import (
    check_temperature,
    check_where,
    temperature_of,
    widen,
)
from attention.records import Normalizer

__all__ = ["sparsemax"]


def sparsemax(
    scores: Float[Array, "*A"],
    where: Bool[Array, "..."] | None = None,
    *,
    axis: int = -1,
    temperature: float | Float[Array, "..."] = 1.0,
) -> Float[Array, "*A"]:
    """Euclidean projection onto the simplex, ``a_j = max(s_j/τ - θ, 0)`` with θ such that ``Σ_j a_j = 1``.

    The threshold θ is found exactly, without sorting: Newton's method on the convex piecewise linear function
    ``Σ_j max(s_j - θ, 0) - 1`` starts left of its root, so it rises towards it and stops after finitely many steps, when the
    support no longer changes. The derivative on the support is ``da_j = ds_j - mean_support(ds)``, 0 off it.

    Args:
      scores: ``[..., S]``, any float type; computed in float32 or wider and cast back.
      where: bool, broadcast to ``scores``, True = may attend; None allows all.
      axis: the axis of the keys.
      temperature: τ > 0, a number or an array that broadcasts to ``scores``.

    Returns:
      Weights of the shape and type of ``scores``; rows sum to 1, masked entries are exactly 0 with gradient exactly 0, and a
      row without an allowed key is all zeros. A NaN or +inf among the allowed scores of a row, or nothing but -inf,
      makes the row NaN.

    Raises:
      ValueError: for a temperature that is not positive, or a mask that is not boolean or does not broadcast.

    Example:
      >>> attention.sparsemax(jnp.array([1.0, 2.0, 0.5, -1.0, 1.8]))
      [0.0, 0.6, 0.0, 0.0, 0.4]

    Source: Martins & Astudillo 2016 (arXiv 1602.02068), eq. 2-3 and 12. The threshold search differs from the paper's sort.
    """
    if isinstance(temperature, (int, float)):
        check_temperature(temperature)
    check_where(scores, where)
    z = jnp.moveaxis(widen(scores) / temperature, axis, -1)
    mask = jnp.ones((), jnp.bool_) if where is None else where
    mask = jnp.moveaxis(jnp.broadcast_to(mask, scores.shape), axis, -1)
    return jnp.moveaxis(_sparsemax(z, mask), -1, axis).astype(scores.dtype)


@jax.custom_jvp
def _sparsemax(z: jax.Array, mask: jax.Array) -> jax.Array:
    z = jnp.where(mask, z, -jnp.inf)
    top = jnp.max(z, axis=-1, keepdims=True)
    z = jnp.where(mask, z - jnp.where(mask.any(-1, keepdims=True), top, 0.0), -jnp.inf)

    def support(theta):
        inside = z > theta
        return jnp.sum(inside, axis=-1, keepdims=True), jnp.sum(jnp.where(inside, z, 0.0), axis=-1, keepdims=True)

    def step(state):
        _, count, total = state
        theta = (total - 1.0) / jnp.maximum(count, 1)
        new_count, new_total = support(theta)
        # Newton from the left only shrinks the support; holding on to that keeps rounding from undoing the last step.
        return new_count < count, jnp.minimum(new_count, count), jnp.where(new_count < count, new_total, total)

    # With its maximum at 0 the root lies in [-1, 0), so keys at or below -1 can be left out from the start.
    count, total = support(jnp.full_like(top, -1.0))
    start = (jnp.ones_like(count, dtype=jnp.bool_), count, total)
    _, count, total = jax.lax.while_loop(lambda state: jnp.any(state[0]), step, start)
    theta = (total - 1.0) / jnp.maximum(count, 1)
    weights = jnp.where(z > theta, z - theta, 0.0)
    broken = ~jnp.isfinite(top) & mask.any(-1, keepdims=True)  # NaN, +inf, or nothing but -inf
    return jnp.where(broken & mask, jnp.nan, weights)


@_sparsemax.defjvp
def _sparsemax_jvp(primals, tangents):
    weights = _sparsemax(*primals)
    inside = weights > 0
    size = jnp.maximum(jnp.sum(inside, axis=-1, keepdims=True), 1)
    dz = jnp.where(inside, tangents[0], 0.0)
    return weights, jnp.where(inside, dz - jnp.sum(dz, axis=-1, keepdims=True) / size, 0.0)


def build(temperature: float | Literal["learned"] = 1.0) -> Normalizer:
    """Sparsemax at a fixed temperature, or at one learned per head and layer (``'learned'``, starting at 1)."""
    tau = temperature_of(temperature)

    def apply(params, scores, mask, call):
        return sparsemax(scores, mask, temperature=tau.of(params))

    return Normalizer(apply=apply, init=tau.init, exact_zeros=True)
