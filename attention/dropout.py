"""Dropout as a function, so that its rate may be traced."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, Float

from attention.messages import quoted


def check_rate(rate: Any) -> None:
    """Raises ValueError for a rate that is no number, or, where it is concrete, not in [0, 1)."""
    real = hasattr(rate, "dtype") and (jnp.issubdtype(rate.dtype, jnp.floating) or jnp.issubdtype(rate.dtype, jnp.integer))
    if not isinstance(rate, (int, float)) and not (real and rate.shape == ()):
        raise ValueError(f"rate must be a number in [0, 1), got {quoted(rate)}")
    if not isinstance(rate, Tracer) and not 0 <= float(rate) < 1:
        raise ValueError(f"rate must be in [0, 1), got {float(rate):g}")


def dropout(x: Float[Array, "*A"], rate: float | Float[Array, ""], rng: jax.Array) -> Float[Array, "*A"]:
    """Zeroes each element with probability ``rate`` and divides the others by ``1 - rate``.

    Args:
      x: any array of floats.
      rate: in [0, 1), a number or a traced scalar; rounded to a multiple of 2^-16, and divided by what it was rounded to.
      rng: key; 16 random bits an element, since drawing them is what dropout costs.

    Returns:
      An array like ``x``, with the same mean.

    Raises:
      ValueError: for what is no number in [0, 1), where it is concrete.

    Example:
      >>> attention.dropout(x, 0.1, jax.random.key(0))

    Source: Srivastava et al. 2014 (JMLR 15).
    """
    check_rate(rate)
    threshold = jnp.round(jnp.asarray(rate, jnp.float32) * 65536).astype(jnp.uint32)
    kept = 1.0 - threshold.astype(jnp.float32) / 65536
    return jnp.where(_halves(rng, x.shape) >= threshold, x / kept.astype(x.dtype), jnp.zeros((), x.dtype))


def _halves(rng: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """16 random bits for each element: the low halves of words, and after them on the last axis their high ones.

    The other axes are those of the array, so that what is split over devices along them draws its own part alone.
    """
    *others, last = shape or (1,)
    words = jax.random.bits(rng, (*others, (last + 1) // 2), jnp.uint32)
    return jnp.concatenate([words & 0xFFFF, words >> 16], axis=-1)[..., :last].reshape(shape)


def dropped(weights: jax.Array, how: Any, rng: jax.Array | None, block: Any) -> Any:
    """The weights of a block after dropout, at a rate and from the block's own key, or by ``how(weights, block)`` of a caller.

    ``block`` is 0, an int, where the weights are whole.
    """
    if callable(how):
        return how(weights, block)
    assert rng is not None  # a rate is checked to have one
    return dropout(weights, how, jax.random.fold_in(rng, block))
