"""w⊙x: a weight per feature."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from attention.records import Gate

__all__ = ["mult_gate"]


def mult_gate(x: Float[Array, "*B D"], weight: Float[Array, " D"]) -> Float[Array, "*B D"]:
    """A weight per feature, ``w⊙x``.

    Args:
      x: ``[*B D]``.
      weight: w, ``[D]``; 1 at the start. At 0 nothing passes, and no gradient reaches what made ``x``: no start to learn from.

    Returns:
      An array like ``x``.

    Example:
      >>> attention.mult_gate(jnp.array([2.0, 2.0]), jnp.array([1.0, 0.0]))
      [2.0, 0.0]

    Source: the gain of Ba et al. 2016 (layer norm, arXiv 1607.06450) without the norm.
    """
    return (weight * x).astype(x.dtype)


def build() -> Gate:
    """The multiplicative gate; w is 1 at the start, where everything passes."""
    return Gate(init=lambda rng, D: {"weight": jnp.ones(D)}, apply=lambda params, x: mult_gate(x, params["weight"]))
