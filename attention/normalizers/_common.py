"""What normalizers share: the arithmetic type, masks, the number of allowed keys, temperature, and wrapping."""

import math
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from attention.precision import widen
from attention.records import Call, Dims, Params, Streaming


def check_where(scores: jax.Array, where: jax.Array | None) -> None:
    """Refuses a mask that is not boolean or does not broadcast to the scores."""
    if where is None:
        return
    if where.dtype != jnp.bool_:
        raise ValueError(f"where must be a boolean array (True = may attend), got dtype {where.dtype}: give mask != 0")
    fits = where.ndim <= scores.ndim and all(size in (1, full) for size, full in zip(where.shape[::-1], scores.shape[::-1]))
    if not fits:
        raise ValueError(f"where of shape {where.shape} does not broadcast to scores of shape {scores.shape}")


def open_scores(scores: jax.Array, where: jax.Array | None, *, fill: float = 0.0) -> jax.Array:
    """Checked, widened scores with ``fill`` where masked: whatever stood there, NaN included, is gone with its gradient."""
    check_where(scores, where)
    wide = widen(scores)
    return wide if where is None else jnp.where(where, wide, fill)


def close_weights(weights: jax.Array, scores: jax.Array, where: jax.Array | None) -> jax.Array:
    """The weights with exact zeros where masked, in the type of the scores."""
    weights = weights if where is None else jnp.where(where, weights, 0.0)
    return weights.astype(scores.dtype)


def allowed_keys(scores: jax.Array, where: jax.Array | None, axis: int) -> jax.Array:
    """The number of allowed keys of each row, n_i, in the type of ``widen``; at least 1, so that it can be divided by."""
    wide = jnp.promote_types(scores.dtype, jnp.float32)
    if where is None:
        return jnp.asarray(scores.shape[axis], wide)
    where = same_rank(where, scores)
    count = jnp.sum(where, axis=axis, keepdims=True, dtype=wide)
    if where.shape[axis] == 1:
        count = count * scores.shape[axis]
    return jnp.maximum(count, 1.0)


def same_rank(where: jax.Array, scores: jax.Array) -> jax.Array:
    """The mask with as many axes as the scores."""
    return where.reshape((1,) * (scores.ndim - where.ndim) + where.shape)


def exponentials(z: jax.Array, axis: int, floor: Any = None) -> tuple[jax.Array, jax.Array]:
    """``e^(z - m)`` and m, the largest of a row and of ``floor``; z is -inf where masked, and an empty row gives zeros."""
    top = jnp.max(z, axis=axis, keepdims=True, initial=-jnp.inf)
    top = top if floor is None else jnp.maximum(top, floor)
    top = jax.lax.stop_gradient(jnp.where(top == -jnp.inf, 0.0, top))
    return jnp.exp(z - top), top


def divide(numerator: jax.Array, denominator: jax.Array) -> jax.Array:
    """The quotient, and 0 with gradient 0 where the denominator is 0."""
    empty = denominator == 0.0
    return jnp.where(empty, 0.0, numerator / jnp.where(empty, 1.0, denominator))


def check_positive(name: str, value: Any) -> None:
    """Refuses a number that is not finite and > 0; arrays and words pass."""
    if isinstance(value, (int, float)) and not (math.isfinite(value) and value > 0):
        raise ValueError(f"{name} must be a finite number > 0, got {value}")


def check_temperature(temperature: Any) -> None:
    """Refuses a fixed temperature that is not a positive finite number."""
    check_positive("temperature", temperature)


def init_per_head(value: float, name: str) -> Callable[[jax.Array, Dims], Params]:
    """An ``init`` of one parameter per head and layer, all ``value`` at the start."""
    return lambda rng, dims: {name: jnp.full(dims.num_heads, value)}


def train_length(dims_or_call: Any, method: str) -> int:
    """The longest sequence of training, which a method needs to know. Raises ValueError where nobody said."""
    if dims_or_call.max_length is None:
        raise ValueError(
            f"{method} needs the training length: give it as an option, or max_length= of the layer (of Dims and Call)"
        )
    return dims_or_call.max_length


class Temperature(NamedTuple):
    """The temperature a spec asks for: a number, or ``'learned'``, ``exp(ρ)`` with one ρ per head and layer, 0 at the start."""

    given: float | Literal["learned"]

    @property
    def init(self) -> Callable[[jax.Array, Dims], Params] | None:
        """What makes the parameter; None for a fixed temperature."""
        return init_per_head(0.0, "log_temperature") if self.given == "learned" else None

    def of(self, params: Params) -> Any:
        """τ, shaped to divide scores ``[*B N T S]``."""
        if isinstance(self.given, str):
            return jnp.exp(params["log_temperature"])[:, None, None]
        return self.given


def temperature_of(given: float | Literal["learned"]) -> Temperature:
    """The temperature, checked.

    Raises:
      ValueError: for a fixed one that is not a finite number > 0.
    """
    check_temperature(given)
    return Temperature(given)


def exponential_block(z: jax.Array, mask: Any) -> tuple[jax.Array, jax.Array, jax.Array]:
    """A block of a streamed softmax: numerators, denominator and shift of the scores ``z``."""
    u, top = exponentials(z if mask is None else jnp.where(mask, z, -jnp.inf), -1)
    total = jnp.sum(u, axis=-1, keepdims=True)
    return u, total, jnp.where(total == 0.0, -jnp.inf, top)  # an empty block must not raise the shift of the others


def exponential_streaming(
    exponents: Callable[[Params, jax.Array, jax.Array, Call], jax.Array], **start: Callable[[Params, Call], tuple[Any, Any]]
) -> Streaming:
    """The streaming form of weights ``e^z / Σ e^z`` with ``z = exponents(params, scores, count, call)``."""

    def block(params, scores, mask, count, call):
        return exponential_block(exponents(params, open_scores(scores, mask), count, call), mask)

    return Streaming(block=block, exponents=exponents, **start)


def ratio_block(u: jax.Array, mask: Any) -> tuple[jax.Array, jax.Array, jax.Array]:
    """A block of streamed weights ``u_j / Σ u``, without exponentials."""
    u = u if mask is None else jnp.where(mask, u, 0.0)
    total = jnp.sum(u, axis=-1, keepdims=True)
    return u, total, jnp.zeros_like(total)


def pointwise_streaming(weights: Callable[[Params, jax.Array, jax.Array, Call], jax.Array]) -> Streaming:
    """The streaming form of ``weights(params, scores, count, call)`` that depend on their own score and the row's length."""

    def block(params, scores, mask, count, call):
        u = weights(params, open_scores(scores, mask), count, call)
        nothing = jnp.zeros_like(u[..., :1])
        return u if mask is None else jnp.where(mask, u, 0.0), nothing, nothing

    return Streaming(block=block, start=lambda params, call: (1.0, 0.0))
