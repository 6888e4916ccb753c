"""x + x⊙σ(xW + b): a gate that the input computes for itself, beside the identity."""

from jaxtyping import Array, Float

from attention.gates.input import build as build_input
from attention.gates.input import input_gate
from attention.precision import check_floating
from attention.records import Gate

__all__ = ["residual_input_gate"]


def residual_input_gate(x: Float[Array, "*B D"], kernel: Float[Array, "D D"], bias: Float[Array, " D"]) -> Float[Array, "*B D"]:
    """A gate the input computes for itself beside the identity, ``x + x⊙σ(xW + b)``: each feature passes one to two times.

    Args:
      x: ``[*B D]``.
      kernel: W, ``[D D]``.
      bias: b, ``[D]``.

    Returns:
      An array like ``x``.

    Example:
      >>> attention.residual_input_gate(jnp.array([2.0]), jnp.zeros((1, 1)), jnp.zeros(1))
      [3.0]

    Source: residual attention, Wang et al. 2017 (arXiv 1704.06904), eq. 3, with one linear layer for the mask branch.
    """
    check_floating(x)
    return x + input_gate(x, kernel, bias)


def build(bias: float = 2.0) -> Gate:
    """The input gate beside the identity; W is 0 at the start and b is ``bias``."""
    return build_input(bias)._replace(apply=lambda params, x: residual_input_gate(x, **params))
