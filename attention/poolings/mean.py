"""The mean of the valid positions."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from attention.poolings._valid import valid
from attention.records import Pooled, Pooling

__all__ = ["mean_pool"]


def mean_pool(x: Float[Array, "*B T D"], where: Bool[Array, "*#B T"]) -> Float[Array, "*B D"]:
    """Mean over the positions that count, ``Σ_t m_t x_t / max(Σ_t m_t, 1)``.

    Args:
      x: ``[*B T D]``.
      where: bool ``[*#B T]``.

    Returns:
      ``[*B D]``, computed in float32; zeros where no position counts.

    Example:
      >>> attention.mean_pool(jnp.array([[1.0], [3.0], [9.0]]), jnp.array([True, True, False]))
      [2.0]

    Source: Iyyer et al. 2015 (deep averaging networks, ACL).
    """
    wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    total = jnp.sum(jnp.where(where[..., None], wide, 0.0), axis=-2)
    return (total / jnp.maximum(jnp.sum(where, axis=-1, dtype=wide.dtype), 1.0)[..., None]).astype(x.dtype)


def build() -> Pooling:
    """The mean, without parameters."""
    return Pooling(apply=lambda params, x, call: Pooled(mean_pool(x, valid(x, call))))
