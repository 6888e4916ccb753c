"""The type in which scores, weights and sums over many tokens are computed, and how exactly float32 is multiplied."""

import contextlib

import jax
import jax.numpy as jnp

# What products of float32 are computed in, the most exact first. A CPU always computes them in float32.
PRECISIONS = ("highest", "high", "default")


def multiplying(precision: str) -> contextlib.AbstractContextManager[None]:
    """Products of float32 that are traced within are of this precision, and those of their derivatives too.

    ===========  ==========================================  ========================
    precision    GPU                                         TPU
    ===========  ==========================================  ========================
    ``highest``  float32                                     six passes of bfloat16
    ``high``     TF32, 10 bits of the 23, where there is it  three passes
    ``default``  the same                                    one pass
    ===========  ==========================================  ========================

    Products of bfloat16 are not touched.
    """
    return jax.default_matmul_precision(precision)


def widen(x: jax.Array) -> jax.Array:
    """The array in at least float32. Raises ValueError as ``check_floating``."""
    check_floating(x)
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def check_floating(*arrays: jax.Array) -> None:
    """Raises ValueError for whole or complex numbers, which would be cut when results are cast back to their type."""
    for x in arrays:
        if not jnp.issubdtype(x.dtype, jnp.floating):
            raise ValueError(f"floating point numbers are wanted, got {x.dtype}: cast them first, with .astype(float)")
