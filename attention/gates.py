"""Gates: a number for every feature, learned or computed from the input, that says how much of it passes."""

from collections.abc import Callable
from typing import Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from attention.records import Params
from attention.specs import nearest

GateName = Literal["none", "residual", "mult", "input", "residual_input"]
GATES: tuple[str, ...] = get_args(GateName)


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
    return x * jax.nn.sigmoid(jnp.einsum("...d,de->...e", x, kernel.astype(x.dtype)) + bias.astype(x.dtype))


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
    return x + input_gate(x, kernel, bias)


def output_gate(
    output: Float[Array, "*B T N H"], x: Float[Array, "*B T D"], kernel: Float[Array, "D N #H"]
) -> Float[Array, "*B T N H"]:
    """A gate on what attention returns, ``o⊙σ(x W)``, after the sum of values and before the output projection.

    Args:
      output: ``[*B T N H]``.
      x: the input of the layer ``[*B T D]``, from which the queries are projected.
      kernel: W, ``[D N H]`` for a gate per element, ``[D N 1]`` for one per head.

    Returns:
      An array like ``output``.

    Example:
      >>> attention.output_gate(jnp.ones((1, 1, 2)), jnp.ones((1, 3)), jnp.zeros((3, 1, 1)))
      [[[0.5, 0.5]]]

    Source: Qiu et al. 2025 (arXiv 2505.06708), the gate after the sum of values; Bondarenko et al. 2023 (arXiv 2306.12929).
    """
    return output * jax.nn.sigmoid(jnp.einsum("...td,dng->...tng", x, kernel.astype(x.dtype))).astype(output.dtype)


class Gate(NamedTuple):
    """A gate of features: ``init(rng, D)`` makes its parameters, ``apply(params, x)`` acts on ``[*B D]``."""

    init: Callable[[jax.Array, int], Params]
    apply: Callable[[Params, jax.Array], jax.Array]


def build_gate(name: str, bias: float = 2.0) -> Gate | None:
    """The gate a model is asked for; None for ``"none"``.

    Args:
      name: ``"none"``, ``"residual"`` (w 0 at the start), ``"mult"`` (w 1), ``"input"`` or ``"residual_input"`` (W 0).
      bias: b of the last two at the start.

    Raises:
      ValueError: for an unknown name.
    """
    own = lambda rng, D: {"kernel": jnp.zeros((D, D)), "bias": jnp.full(D, bias)}
    gates = {
        "none": None,
        "residual": Gate(lambda rng, D: {"weight": jnp.zeros(D)}, lambda params, x: residual_gate(x, params["weight"])),
        "mult": Gate(lambda rng, D: {"weight": jnp.ones(D)}, lambda params, x: mult_gate(x, params["weight"])),
        "input": Gate(own, lambda params, x: input_gate(x, **params)),
        "residual_input": Gate(own, lambda params, x: residual_input_gate(x, **params)),
    }
    if name not in gates:
        raise ValueError(f"gate must be one of {', '.join(GATES)}{nearest(str(name), gates)}, got {name!r}")
    return gates[name]
