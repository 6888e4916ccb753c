"""The type in which scores, weights and sums over many tokens are computed."""

import jax
import jax.numpy as jnp


def widen(x: jax.Array) -> jax.Array:
    """The array in at least float32. Raises ValueError as ``check_floating``."""
    check_floating(x)
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def check_floating(*arrays: jax.Array) -> None:
    """Raises ValueError for whole or complex numbers, which would be cut when results are cast back to their type."""
    for x in arrays:
        if not jnp.issubdtype(x.dtype, jnp.floating):
            raise ValueError(f"floating point numbers are wanted, got {x.dtype}: cast them first, with .astype(float)")
