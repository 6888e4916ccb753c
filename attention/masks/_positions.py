"""What masks read of a call."""

import jax
import jax.numpy as jnp

from attention.records import Call


def positions(call: Call, lengths: tuple[int, int]) -> tuple[jax.Array, jax.Array]:
    """The positions of the block's queries and keys, 0, 1, ... where the call has none."""
    T, S = lengths
    q = jnp.arange(T) if call.q_positions is None else call.q_positions
    k = jnp.arange(S) if call.k_positions is None else call.k_positions
    return q, k


def last_key(call: Call, S: int) -> jax.Array:
    """``call.k_last``, or where the call has none, the largest position of a valid key ``[*#B]``; -1 without any."""
    if call.k_last is not None:
        return call.k_last
    k = jnp.arange(S) if call.k_positions is None else call.k_positions
    valid = jnp.ones_like(k, bool) if call.k_valid is None else call.k_valid
    return jnp.max(jnp.where(valid, k, -1), axis=-1, initial=-1)
