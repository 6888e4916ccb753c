"""The type in which scores, weights and sums over many tokens are computed."""

import jax
import jax.numpy as jnp


def widen(x: jax.Array) -> jax.Array:
    """The array in at least float32."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))
