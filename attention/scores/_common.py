"""What scores share: how their parameters start, and numbers and vectors per head."""

import jax
import jax.numpy as jnp

from attention.precision import check_floating
from attention.records import Dims

# Xavier, for matrices [N in out] of every head.
xavier = jax.nn.initializers.glorot_uniform(in_axis=-2, out_axis=-1, batch_axis=0)


def xavier_vector(rng: jax.Array, heads: int, size: int) -> jax.Array:
    """A vector ``[N size]`` per head, at the start as the one column of a Xavier matrix."""
    return xavier(rng, (heads, size, 1))[..., 0]


def per_head(number: float | jax.Array) -> jax.Array:
    """A number, or one per head ``[N]``, shaped to meet scores ``[*B N T S]``."""
    return jnp.reshape(jnp.asarray(number), (-1, 1, 1))


def units_of(hidden: int | None, dims: Dims) -> int:
    """Hidden units per head: as many as asked for, or the head dimension."""
    return dims.head_dim if hidden is None else hidden


def check_hidden(hidden: int | None) -> None:
    """Refuses a number of hidden units below 1."""
    if hidden is not None and hidden < 1:
        raise ValueError(f"hidden must be None or >= 1, got {hidden}")


def times(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """``[*B T N H]`` times a matrix per head ``[N H A]``, in the type of ``x``."""
    check_floating(x)
    return jnp.einsum("...tnh,nha->...tna", x, kernel.astype(x.dtype))


def dot_with(x: jax.Array, vector: jax.Array) -> jax.Array:
    """``[*B T N H]`` times a vector per head ``[N H]``: ``[*B N T]`` in at least float32."""
    return jnp.einsum("...tnh,nh->...nt", x, vector)
