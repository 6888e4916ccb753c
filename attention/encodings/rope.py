"""Rotates queries and keys by angles proportional to their positions, so that q·k depends on the distance."""

from typing import Literal

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Num

from attention.encodings._angles import angles
from attention.encodings._positions import k_positions, q_positions
from attention.records import Encoding

__all__ = ["rope"]

Layout = Literal["interleaved", "half"]


def rope(
    x: Float[Array, "*B T N H"],
    positions: Num[Array, "*#B T"],
    *,
    base: float = 10000.0,
    fraction: float = 1.0,
    layout: Layout = "interleaved",
) -> Float[Array, "*B T N H"]:
    """Rotary positions: the pair t of channels is turned by ``φ = i · base^(-2t/R)``, t = 0 .. R/2-1.

    ``y₁ = x₁ cos φ - x₂ sin φ``, ``y₂ = x₁ sin φ + x₂ cos φ``.

    Args:
      x: queries or keys ``[*B T N H]``.
      positions: ``[*#B T]``, integers of any size, or floats.
      base: > 0.
      fraction: share of the channels that is rotated, in (0, 1]; the first R = fraction · H, rounded, which must be even.
      layout: pairs are (2t, 2t+1) for ``'interleaved'`` (RoFormer, GPT-J), (t, t+R/2) for ``'half'`` (GPT-NeoX, Llama in HF).

    Returns:
      ``[*B T N H]`` of the type of ``x``, computed in float32; the angle is exact to 1e-6 for every int32 position.

    Raises:
      ValueError: for an odd number of rotated channels, a fraction outside (0, 1], or a base that is not positive.

    Example:
      >>> attention.rope(jnp.ones((1, 1, 6)), jnp.array([3]))
      [[[-1.1311125, -0.8488725, 0.8515226, 1.1291188, 0.9935159, 1.0064424]]]

    Source: Su et al. 2021 (arXiv 2104.09864), eq. 15 and 34.
    """
    _check(base, fraction)
    H = x.shape[-1]
    R = round(fraction * H)
    if R % 2 or R < 2:
        raise ValueError(f"rope turns pairs of channels: fraction {fraction} of {H} is {R}, want an even number >= 2")
    phi = angles(positions, base ** (-np.arange(0, R, 2, dtype=np.float64) / R))[..., :, None, :]
    cos, sin = jnp.cos(phi), jnp.sin(phi)
    turned, kept = x[..., :R].astype(jnp.promote_types(x.dtype, jnp.float32)), x[..., R:]
    if layout == "interleaved":
        first, second = turned[..., 0::2], turned[..., 1::2]
    else:
        first, second = turned[..., : R // 2], turned[..., R // 2 :]
    pair = (first * cos - second * sin, first * sin + second * cos)
    turned = jnp.stack(pair, axis=-1).reshape(turned.shape) if layout == "interleaved" else jnp.concatenate(pair, axis=-1)
    return jnp.concatenate([turned.astype(x.dtype), kept], axis=-1)


def _check(base: float, fraction: float) -> None:
    if not base > 0:
        raise ValueError(f"base must be > 0, got {base}")
    if not 0 < fraction <= 1:
        raise ValueError(f"fraction must be in (0, 1], got {fraction}")


def build(base: float = 10000.0, fraction: float = 1.0, layout: Layout = "interleaved") -> Encoding:
    """Rotary positions in every layer."""
    _check(base, fraction)

    def rotate(params, query, key, call):
        turn = lambda x, positions: rope(x, positions, base=base, fraction=fraction, layout=layout)
        return turn(query, q_positions(call, query.shape[-3])), turn(key, k_positions(call, key.shape[-3]))

    return Encoding(rotate=rotate, rotates=True)
