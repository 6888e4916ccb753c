"""(1 + w)⊙x: a weight per feature beside the identity."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from attention.records import Gate

__all__ = ["residual_gate"]


def residual_gate(x: Float[Array, "*B D"], weight: Float[Array, " D"]) -> Float[Array, "*B D"]:
    """A weight per feature beside the identity, ``x + w⊙x = (1 + w)⊙x``.

    The functions are those of ``mult_gate`` with ``1 + w``; decay of w pulls this one to the identity, and that one to nothing.

    Args:
      x: ``[*B D]``.
      weight: w, ``[D]``; 0 at the start.

    Returns:
      An array like ``x``.

    Example:
      >>> attention.residual_gate(jnp.array([2.0, 2.0]), jnp.array([0.0, -1.0]))
      [2.0, 0.0]

    Source: the residual form of He et al. 2015 (arXiv 1512.03385) with one number per feature.
    """
    return ((1.0 + weight) * x).astype(x.dtype)


def build() -> Gate:
    """The residual gate; w is 0 at the start, where everything passes."""
    return Gate(init=lambda rng, D: {"weight": jnp.zeros(D)}, apply=lambda params, x: residual_gate(x, params["weight"]))
