"""Dropout as a function, so that its rate may be traced."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def dropout(x: Float[Array, "*A"], rate: float | Float[Array, ""], rng: jax.Array) -> Float[Array, "*A"]:
    """Zeroes each element with probability ``rate`` and divides the others by ``1 - rate``.

    Args:
      x: any array of floats.
      rate: in [0, 1), a number or a traced scalar; rounded to a multiple of 2^-16, and divided by what it was rounded to.
      rng: key; 16 random bits an element, since drawing them is what dropout costs.

    Returns:
      An array like ``x``, with the same mean.

    Raises:
      ValueError: for a number outside [0, 1).

    Example:
      >>> attention.dropout(x, 0.1, jax.random.key(0))

    Source: Srivastava et al. 2014 (JMLR 15).
    """
    if isinstance(rate, (int, float)) and not 0 <= rate < 1:
        raise ValueError(f"rate must be in [0, 1), got {rate}")
    threshold = jnp.round(jnp.asarray(rate, jnp.float32) * 65536).astype(jnp.uint32)
    words = jax.random.bits(rng, ((math.prod(x.shape) + 1) // 2,), jnp.uint32)
    halves = jnp.stack([words & 0xFFFF, words >> 16]).reshape(-1)[: math.prod(x.shape)].reshape(x.shape)
    kept = 1.0 - threshold.astype(jnp.float32) / 65536
    return jnp.where(halves >= threshold, x / kept.astype(x.dtype), jnp.zeros((), x.dtype))
