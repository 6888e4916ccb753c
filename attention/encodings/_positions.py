"""The positions of a call, as arrays."""

import jax
import jax.numpy as jnp

from attention.records import Call


def q_positions(call: Call, length: int) -> jax.Array:
    """Positions of the queries ``[*#B T]``; 0, 1, ... where the call has none."""
    return jnp.arange(length) if call.q_positions is None else call.q_positions


def k_positions(call: Call, length: int) -> jax.Array:
    """Positions of the keys ``[*#B S]``; 0, 1, ... where the call has none."""
    return jnp.arange(length) if call.k_positions is None else call.k_positions


def relative(call: Call, T: int, S: int) -> jax.Array:
    """``j - i``, key minus query, of every pair ``[*#B T S]``."""
    return k_positions(call, S)[..., None, :] - q_positions(call, T)[..., :, None]
