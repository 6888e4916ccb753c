"""Which positions of a call are text."""

import jax
import jax.numpy as jnp

from attention.records import Call


def valid(x: jax.Array, call: Call) -> jax.Array:
    """bool ``[*#B T]``, True where there is text; all of it where the call says nothing."""
    return jnp.ones(x.shape[-2], jnp.bool_) if call.q_valid is None else call.q_valid
