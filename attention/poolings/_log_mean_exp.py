"""The mean of exponentials, and its logarithm over t."""

from typing import Any

import jax
import jax.numpy as jnp

from attention.poolings._valid import number


def log_mean_exp(states: jax.Array, where: jax.Array, t: Any) -> jax.Array:
    """``(1/t) log mean_t exp(t x_t)`` over the positions that count, ``[*B T D]`` to ``[*B D]``; 0 where none does.

    Exact to rounding for small t too, where the mean of the exponentials is 1 and a little: that little is summed by itself.
    """
    z, counts = t * states, where[..., None]
    top = jnp.max(z, axis=-2, where=counts, initial=-jnp.inf)
    top = jax.lax.stop_gradient(jnp.where(top == -jnp.inf, 0.0, top))
    z = jnp.where(counts, z - top[..., None, :], 0.0)
    n = number(where, z.dtype)
    excess = jnp.sum(jnp.expm1(z), axis=-2) / n  # in (-1, 0]; padding adds expm1(0) = 0
    near = excess > -0.5
    mean = jnp.where(near, 1.0, jnp.sum(jnp.where(counts, jnp.exp(z), 0.0), axis=-2) / n)
    return (top + jnp.where(near, jnp.log1p(jnp.where(near, excess, 0.0)), jnp.log(mean))) / t
