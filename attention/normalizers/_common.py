"""What normalizers share: the arithmetic type, the number of allowed keys, and temperature."""

import math
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp

from attention.records import Dims, Params


def widen(scores: jax.Array) -> jax.Array:
    """Scores in at least float32, the type all weights are computed in."""
    return scores.astype(jnp.promote_types(scores.dtype, jnp.float32))


def check_where(scores: jax.Array, where: jax.Array | None) -> None:
    """Refuses a mask that is not boolean or does not broadcast to the scores."""
    if where is None:
        return
    if where.dtype != jnp.bool_:
        raise ValueError(f"where must be a boolean array (True = may attend), got dtype {where.dtype}")
    fits = where.ndim <= scores.ndim and all(size in (1, full) for size, full in zip(where.shape[::-1], scores.shape[::-1]))
    if not fits:
        raise ValueError(f"where of shape {where.shape} does not broadcast to scores of shape {scores.shape}")


def allowed_keys(scores: jax.Array, where: jax.Array | None, axis: int) -> jax.Array:
    """The number of allowed keys of each row, n_i, in the type of ``widen``; at least 1, so that it can be divided by."""
    wide = jnp.promote_types(scores.dtype, jnp.float32)
    if where is None:
        return jnp.asarray(scores.shape[axis], wide)
    shape = list(where.shape) if where.ndim == scores.ndim else [1] * (scores.ndim - where.ndim) + list(where.shape)
    where = where.reshape(shape)
    count = jnp.sum(where, axis=axis, keepdims=True, dtype=wide)
    if where.shape[axis] == 1:
        count = count * scores.shape[axis]
    return jnp.maximum(count, 1.0)


def check_temperature(temperature: float | str) -> None:
    """Refuses a fixed temperature that is not a positive finite number."""
    if isinstance(temperature, str):
        return
    if not (math.isfinite(temperature) and temperature > 0):
        raise ValueError(f"temperature must be a finite number > 0, got {temperature}")


class Temperature(NamedTuple):
    """The temperature a spec asks for: a number, or ``'learned'``, ``exp(ρ)`` with one ρ per head and layer, 0 at the start."""

    given: float | Literal["learned"]

    def init(self, rng: jax.Array, dims: Dims) -> Params:
        """The parameters, none for a fixed temperature."""
        learned = self.given == "learned" and dims.layer is not None
        return {"log_temperature": jnp.zeros(dims.num_heads)} if learned else {}

    def of(self, params: Params) -> float | jax.Array:
        """τ, shaped to divide scores ``[*B N T S]``."""
        if isinstance(self.given, str):
            return jnp.exp(params[1]["log_temperature"])[:, None, None]
        return self.given


def temperature_of(given: float | Literal["learned"]) -> Temperature:
    """The temperature, checked.

    Raises:
      ValueError: for a fixed one that is not a finite number > 0.
    """
    check_temperature(given)
    return Temperature(given)
