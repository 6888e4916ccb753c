"""Parameters that stay positive."""

import jax
import jax.numpy as jnp


def softplus_inverse(x: jax.Array) -> jax.Array:
    """The number whose softplus ``log(1 + e^y)`` is x, for x > 0."""
    return x + jnp.log(-jnp.expm1(-x))
