"""Which positions of a call are text, and the states with nothing beside it."""

from typing import Any

import jax
import jax.numpy as jnp

from attention.precision import widen
from attention.records import Call


def valid(x: jax.Array, call: Call) -> jax.Array:
    """bool ``[*#B T]``, True where there is text; all of it where the call says nothing."""
    return mask_of(x, call.q_valid)


def mask_of(x: jax.Array, where: jax.Array | None) -> jax.Array:
    """``where``, or all positions for None.

    Raises:
      ValueError: for one that is not boolean, or not ``[*#B T]`` for states ``[*B T D]``.
    """
    if where is None:
        return jnp.ones(x.shape[-2], jnp.bool_)
    if where.dtype != jnp.bool_:
        raise ValueError(f"where must be a boolean array (True = counts), got dtype {where.dtype}")
    *batch, length, _ = x.shape
    fits = where.shape[-1:] == (length,) and where.ndim < x.ndim
    if not fits or any(size not in (1, full) for size, full in zip(where.shape[-2::-1], batch[::-1])):
        raise ValueError(f"where must have the shape of the states without channels, {x.shape[:-1]}, got {where.shape}")
    return where


def text(x: jax.Array, where: jax.Array) -> jax.Array:
    """States in at least float32 with zeros at padding: whatever stood there, NaN included, is gone with its gradient."""
    return jnp.where(where[..., None], widen(x), 0.0)


def number(where: jax.Array, dtype: Any) -> jax.Array:
    """How many positions count, at least 1, ``[*#B 1]`` to divide vectors by."""
    return jnp.maximum(jnp.sum(where, axis=-1, keepdims=True, dtype=dtype), 1.0)


def end_of(x: jax.Array, where: jax.Array, *, last: bool) -> jax.Array:
    """The states ``[*B D]`` at the first or the last position that counts; zeros where none does."""
    *batch, T, D = x.shape
    if T == 0:
        return jnp.zeros((*batch, D), x.dtype)
    where = jnp.broadcast_to(where, (*batch, T))
    index = T - 1 - jnp.argmax(where[..., ::-1], axis=-1) if last else jnp.argmax(where, axis=-1)
    return unless_empty(jnp.take_along_axis(x, index[..., None, None], axis=-2)[..., 0, :], where)


def unless_empty(y: jax.Array, where: jax.Array) -> jax.Array:
    """Vectors ``[*B P]`` with zeros for sequences where no position counts."""
    return jnp.where(where.any(-1)[..., None], y, 0.0)
