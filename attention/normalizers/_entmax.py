"""The α-entmax family: one solver, one derivative rule."""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from attention.normalizers._common import check_where
from attention.normalizers._threshold import power, threshold, total
from attention.precision import widen

SPARSEMAX, ENTMAX15 = 2.0, 1.5  # orders whose powers are products


def along_last(scores: jax.Array, where: jax.Array | None, axis: int) -> tuple[jax.Array, jax.Array | None]:
    """The widened scores and their mask with the keys on the last axis."""
    check_where(scores, where)
    z = jnp.moveaxis(widen(scores), axis, -1)
    return z, None if where is None else jnp.moveaxis(jnp.broadcast_to(where, scores.shape), axis, -1)


def back(weights: jax.Array, mask: jax.Array | None, scores: jax.Array, axis: int) -> jax.Array:
    """The weights as the scores lie, exactly 0 where masked, in their type."""
    weights = weights if mask is None else jnp.where(mask, weights, 0.0)
    return jnp.moveaxis(weights, -1, axis).astype(scores.dtype)


def top_of(z: jax.Array, mask: jax.Array | None) -> tuple[jax.Array, jax.Array]:
    """The scores with -inf where masked, and the largest of each row; 0 for an empty one."""
    z = z if mask is None else jnp.where(mask, z, -jnp.inf)
    top = jnp.max(z, axis=-1, keepdims=True, initial=-jnp.inf)
    return z, top if mask is None else jnp.where(mask.any(-1, keepdims=True), top, 0.0)


def _solve(z: jax.Array, mask: jax.Array | None, alpha: Any) -> jax.Array:
    exponent = 1.0 / (alpha - 1.0)
    z, top = top_of(z, mask)
    t = threshold(z, top, alpha - 1.0, exponent)
    r = jnp.maximum((z - top) * (alpha - 1.0) + t, 0.0)
    weights = r if _equals(alpha, SPARSEMAX) else r * r if _equals(alpha, ENTMAX15) else power(r, exponent)
    whole = total(weights)  # 1 but for rounding, which this takes out; 0 for an empty row
    return weights / nonzero(whole)


def _equals(alpha: Any, order: float) -> bool:
    return isinstance(alpha, float) and alpha == order


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def fixed_entmax(alpha: float, z: jax.Array, mask: jax.Array | None) -> jax.Array:
    """α-entmax over the last axis for a number α > 1."""
    return _solve(z, mask, alpha)


@fixed_entmax.defjvp
def _fixed_jvp(alpha, primals, tangents):
    p = fixed_entmax(alpha, *primals)
    if alpha == SPARSEMAX:
        w = jnp.sign(p)
    elif alpha == ENTMAX15:
        w = jnp.where(p > 0, jnp.sqrt(jnp.where(p > 0, p, 1.0)), 0.0)
    else:
        w = power(p, 2.0 - alpha)
    return p, _project(w, tangents[0])


@jax.custom_jvp
def variable_entmax(z: jax.Array, mask: jax.Array | None, alpha: jax.Array) -> jax.Array:
    """α-entmax over the last axis for an array of orders ``[..., 1]``, which it may be differentiated by."""
    return _solve(z, mask, alpha)


@variable_entmax.defjvp
def _variable_jvp(primals, tangents):
    p, alpha = variable_entmax(*primals), primals[2]
    w = power(p, 2.0 - alpha)
    q = w / nonzero(total(w))
    h = jnp.where(p > 0, p * jnp.log(jnp.where(p > 0, p, 1.0)), 0.0)
    by_alpha = (p - q) / (alpha - 1.0) ** 2 - (h - q * total(h)) / (alpha - 1.0)
    return p, _project(w, tangents[0]) + by_alpha * tangents[2]


def _project(w: jax.Array, dz: jax.Array) -> jax.Array:
    """``w ⊙ (dz - Σ w dz / Σ w)``: 0 off the support, where w is 0."""
    return w * (dz - total(w * dz) / nonzero(total(w)))


def nonzero(x: jax.Array) -> jax.Array:
    """x with 1 for 0, to divide by."""
    return jnp.where(x == 0.0, 1.0, x)
