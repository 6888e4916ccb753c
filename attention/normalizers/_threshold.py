"""The threshold of sparse maps without a sort: Newton's method inside a bracket, started from a part of the keys.

With its largest score at 0, a row ``z <= 0`` has the threshold ``-t``, 0 < t <= 1, where ``Σ_j [z_j + t]_+^e = 1``.
The e-norm of ``[z + t]_+`` is convex in t for e >= 1 and nearly linear, so Newton's method from t = 1 falls to the root without
passing it. For e < 1 the slope is infinite wherever a key enters: there the bracket is shrunk by regula falsi, or halved where
e is an array. XLA sorts 50 times slower than it sums on a CPU; a step here costs two sums, or one.
"""

from typing import Any

import jax
import jax.numpy as jnp

from attention.carries import varying

GROUPS = 64  # keys of the first stage: the largest of each of this many groups
MAX_STEPS = 60


def total(x: jax.Array) -> jax.Array:
    """Sum over the last axis, kept."""
    return jnp.sum(x, axis=-1, keepdims=True)


def power(x: jax.Array, exponent: Any) -> jax.Array:
    """``x^exponent`` for x >= 0, and 0 at 0 for every exponent, with finite derivatives of any order there."""
    inside = ~(x <= 0)  # a NaN stays one
    return jnp.where(inside, jnp.exp(exponent * jnp.log(jnp.where(inside, x, 1.0))), 0.0)


def largest_of_groups(z: jax.Array) -> jax.Array:
    """The largest of every group of keys, a few times fewer values than ``z`` has, and the keys that fill no group."""
    size = z.shape[-1] // GROUPS
    if not isinstance(size, int) or size < 2:
        return z
    grouped = z[..., : size * GROUPS].reshape(*z.shape[:-1], size, GROUPS)  # neighbours fall into different groups
    return jnp.concatenate([jnp.max(grouped, axis=-2), z[..., size * GROUPS :]], axis=-1)


def threshold(z: jax.Array, top: jax.Array, scale: Any, exponent: Any) -> jax.Array:
    """t of each row, ``[..., 1]``, where ``Σ_j [scale·(z_j - top) + t]_+^exponent = 1``.

    Args:
      z: ``[..., S]``, -inf where masked.
      top: the largest of each row ``[..., 1]``; 0 for an empty one, which gives t = 1.
      scale: > 0, a number or an array ``[..., 1]``.
      exponent: > 0, a number or an array ``[..., 1]``.
    """
    part = largest_of_groups(z)
    t = jnp.ones_like(top)
    find = _regula_falsi if isinstance(exponent, (int, float)) and exponent < 1 else _newton
    if part.shape[-1] < z.shape[-1]:
        # Fewer keys have a smaller sum, so their root is the larger: a start on the right side, and close.
        t = find(part, top, scale, exponent, t, tolerance=1e-3)[1]
    return find(z, top, scale, exponent, t, tolerance=_tolerance(exponent, z.dtype))[0]


def _tolerance(exponent: Any, dtype: Any) -> float:
    """The step after which the next one is below rounding: Newton's error shrinks to the power min(exponent, 2), at least 1."""
    eps = float(jnp.finfo(dtype).eps)
    if not isinstance(exponent, (int, float)) or exponent == 1:
        return 4 * eps
    if exponent < 1:  # weights move by the power of e of what t is off
        return eps
    return max(0.25 * eps ** (1 / min(exponent, 2.0)), 4 * eps)


def _sums(z: jax.Array, top: jax.Array, scale: Any, exponent: Any, t: jax.Array) -> tuple[jax.Array, jax.Array]:
    """``Σ r^e`` and ``Σ r^(e-1)`` of ``r = [scale (z - top) + t]_+``; each is one pass over the scores."""
    r = jnp.maximum((z - top) * scale + t, 0.0)
    if isinstance(exponent, (int, float)) and exponent in (1, 2):
        return (total(r), total(jnp.sign(r))) if exponent == 1 else (total(r * r), total(r))
    lower = power(r, exponent - 1.0)
    return total(lower * r), total(lower)


def _newton(
    z: jax.Array, top: jax.Array, scale: Any, exponent: Any, t: jax.Array, *, tolerance: float
) -> tuple[jax.Array, jax.Array]:
    """The root, and again as a bound: from above Newton's method passes it by no more than rounding."""

    def step(state):
        t, low, high, _, count = state
        value, slope = _sums(z, top, scale, exponent, t)
        norm = value ** (1.0 / exponent)
        move = (norm - 1.0) * norm ** (exponent - 1.0) / jnp.where(slope > 0, slope, 1.0)
        low, high = jnp.where(value < 1.0, t, low), jnp.where(value > 1.0, t, high)
        after = t - move
        after = jnp.where((after >= low) & (after <= high) & (exponent >= 1.0), after, 0.5 * (low + high))
        return after, low, high, jnp.any(jnp.abs(after - t) > tolerance * t), count + 1

    start = varying((t, jnp.zeros_like(t), jnp.ones_like(t), jnp.bool_(True), 0), z, top, scale, exponent)
    root = jax.lax.while_loop(lambda state: state[3] & (state[4] < MAX_STEPS), step, start)[0]
    return root, root


def _regula_falsi(
    z: jax.Array, top: jax.Array, scale: Any, exponent: float, t: jax.Array, *, tolerance: float
) -> tuple[jax.Array, jax.Array]:
    """The root and a bound at or above it, by the Illinois method on ``(Σ r^e)^(1/e) - 1``, which is -1 at t = 0.

    The chord's root replaces an end of the bracket; the value of an end that stays twice is halved, so that both move.
    """

    def excess(t):
        return total(power(jnp.maximum((z - top) * scale + t, 0.0), exponent)) ** (1.0 / exponent) - 1.0

    def step(state):
        low, below, high, above, before, side, count = state
        t = high - above * (high - low) / jnp.where(above > below, above - below, 1.0)
        value = excess(t)
        new_side = jnp.where(value < 0.0, jnp.int32(-1), jnp.int32(1))
        again = new_side == side
        below = jnp.where(value < 0.0, value, jnp.where(again, 0.5 * below, below))
        above = jnp.where(value < 0.0, jnp.where(again, 0.5 * above, above), value)
        low, high = jnp.where(value < 0.0, t, low), jnp.where(value < 0.0, high, t)
        moving = (jnp.abs(t - before) > tolerance * t) & (value != 0.0)
        return low, below, high, above, t, new_side, count + 1, jnp.any(moving)

    start = (jnp.zeros_like(t), jnp.full_like(t, -1.0), t, jnp.maximum(excess(t), 0.0), t, jnp.zeros(t.shape, jnp.int32), 0)
    start = varying((*start, jnp.bool_(True)), z, top, scale, t)
    loop = lambda state: step(state[:-1])
    state = jax.lax.while_loop(lambda state: state[-1] & (state[-2] < MAX_STEPS), loop, start)
    return state[4], state[2]
