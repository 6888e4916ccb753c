"""All scores at once: the reference, and the only kernel that returns the weights."""

import jax

from attention.kernels._block import Problem, attend_block


def dense(problem: Problem) -> tuple[jax.Array, jax.Array]:
    """Output ``[*B T N H]`` and weights ``[*B N T S]`` before dropout."""
    return attend_block(problem)
