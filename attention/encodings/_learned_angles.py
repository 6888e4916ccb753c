"""Positions times learned frequencies, exact far from the origin."""

import jax
import jax.numpy as jnp
import numpy as np


def _digits(value: float, count: int) -> list[float]:
    """Floats of 12 significant bits that add up to ``value``, largest first."""
    found = []
    for _ in range(count):
        mantissa, exponent = np.frexp(value)
        found.append(float(np.ldexp(np.trunc(mantissa * 2**12), int(exponent) - 12)))
        value -= found[-1]
    return found


# 2^-32 turns per radian. 12 bits times 12 bits is exact in float32.
_TURNS = _digits(2.0**32 / (2 * np.pi), 4)


def learned_angles(positions: jax.Array, frequencies: jax.Array) -> jax.Array:
    """``positions · frequencies`` modulo 2π, for frequencies that are traced.

    As in ``angles``, integer positions are multiplied in 32-bit fixed point: for frequencies up to 2π the error is below 1e-6
    up to position 10⁸, and below 1e-5 for every int32. Float positions, and float64 frequencies, take the plain product.
    The gradient is that of the product.

    Args:
      positions: ``[*#A]``, int32 or float32.
      frequencies: radians per position, ``[*#A]``, up to 1e5.

    Returns:
      ``[*A]``, float32 for float32 frequencies.
    """
    if jnp.issubdtype(positions.dtype, jnp.floating) or frequencies.dtype != jnp.float32:
        return positions.astype(jnp.promote_types(frequencies.dtype, jnp.float32)) * frequencies
    return _fixed_point(positions, frequencies)


@jax.custom_jvp
def _fixed_point(positions: jax.Array, frequencies: jax.Array) -> jax.Array:
    bits = jax.lax.bitcast_convert_type(frequencies, jnp.uint32)
    head = jax.lax.bitcast_convert_type(bits & jnp.uint32(0xFFFFF000), jnp.float32)
    whole, rest = jnp.zeros(frequencies.shape, jnp.int32), jnp.zeros_like(frequencies)
    for part in (head, frequencies - head):
        for digit in _TURNS:
            turns = part * jnp.float32(digit)
            upper = jnp.trunc(turns * jnp.float32(2.0**-16))
            lower = turns - upper * jnp.float32(2.0**16)
            nearest = jnp.round(lower)
            whole = whole + (upper.astype(jnp.int32) << 16) + nearest.astype(jnp.int32)
            rest = rest + (lower - nearest)
    carry = jnp.round(rest)
    whole, rest = whole + carry.astype(jnp.int32), rest - carry
    signed = jax.lax.bitcast_convert_type(positions.astype(jnp.uint32) * whole.astype(jnp.uint32), jnp.int32)
    return (signed.astype(jnp.float32) + positions.astype(jnp.float32) * rest) * jnp.float32(2 * np.pi / 2.0**32)


@_fixed_point.defjvp
def _derivative(primals, tangents):
    positions, frequencies = primals
    return _fixed_point(positions, frequencies), positions.astype(jnp.float32) * tangents[1]
