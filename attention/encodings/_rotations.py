"""Pairs of channels turned in their planes."""

from typing import Literal

import jax
import jax.numpy as jnp

from attention.precision import widen

Layout = Literal["interleaved", "half"]


def turn(x: jax.Array, cos: jax.Array, sin: jax.Array, layout: Layout) -> jax.Array:
    """``y₁ = x₁ cos - x₂ sin``, ``y₂ = x₁ sin + x₂ cos`` of the first 2F channels, in at least float32; the others stay.

    Args:
      x: ``[*B T N H]``.
      cos: ``[*#B T #N F]``, a cosine of the angle or whatever a method puts in its place.
      sin: the same for the sine.
      layout: pairs are (2t, 2t+1) for ``'interleaved'``, (t, t+F) for ``'half'``.

    Returns:
      ``[*B T N H]`` of the type of ``x``.
    """
    F = cos.shape[-1]
    turned, kept = widen(x[..., : 2 * F]), x[..., 2 * F :]
    if layout == "interleaved":
        first, second = turned[..., 0::2], turned[..., 1::2]
    else:
        first, second = turned[..., :F], turned[..., F:]
    pair = (first * cos - second * sin, first * sin + second * cos)
    turned = jnp.stack(pair, axis=-1).reshape(turned.shape) if layout == "interleaved" else jnp.concatenate(pair, axis=-1)
    return jnp.concatenate([turned.astype(x.dtype), kept], axis=-1)
