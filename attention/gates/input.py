"""x⊙σ(xW + b): a gate that the input computes for itself."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from attention.precision import check_floating
from attention.records import Gate

__all__ = ["input_gate"]


def input_gate(x: Float[Array, "*B D"], kernel: Float[Array, "D D"], bias: Float[Array, " D"]) -> Float[Array, "*B D"]:
    """A gate the input computes for itself, ``x⊙σ(xW + b)``.

    Args:
      x: ``[*B D]``.
      kernel: W, ``[D D]``.
      bias: b, ``[D]``; at 2 the gate starts nearly open (0.88), at 0 half open.

    Returns:
      An array like ``x``.

    Example:
      >>> attention.input_gate(jnp.array([2.0]), jnp.zeros((1, 1)), jnp.zeros(1))
      [1.0]

    Source: Srivastava et al. 2015 (highway networks, arXiv 1505.00387), the transform gate on the identity.
    """
    check_floating(x)
    return x * jax.nn.sigmoid(jnp.einsum("...d,de->...e", x, kernel.astype(x.dtype)) + bias.astype(x.dtype))


def build(bias: float = 2.0) -> Gate:
    """The input gate; W is 0 at the start and b is ``bias``, so that 0.88 of everything passes by default."""
    if not math.isfinite(bias):
        raise ValueError(f"bias must be a finite number, got {bias}")
    init = lambda rng, D: {"kernel": jnp.zeros((D, D)), "bias": jnp.full(D, bias)}
    return Gate(init=init, apply=lambda params, x: input_gate(x, **params))
