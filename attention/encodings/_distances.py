"""Distances between positions, and biases that depend on them alone."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from attention.encodings._rows import by_rows, row_size
from attention.positions import k_positions, q_positions
from attention.records import Call


def relative(call: Call, T: int, S: int) -> jax.Array:
    """``j - i``, key minus query, of every pair ``[*#B T S]``."""
    return k_positions(call, S)[..., None, :] - q_positions(call, T)[..., :, None]


def by_distance(call: Call, bias: Callable[[jax.Array], jax.Array], width: int = 0) -> jax.Array:
    """A bias ``[*#B N T S]`` that depends on the distance alone.

    Where positions count up by ones it is computed for the T + S - 1 distances there are, and not for every pair.

    Args:
      call: with positions.
      bias: of distances ``i - j``, query minus key, ``[*A]`` integers (floats where an encoding made them so), ``[*A N]``.
      width: numbers that ``bias`` holds at once for a distance, where they are more than its result.
    """
    T, S = call.q_positions.shape[-1], call.k_positions.shape[-1]
    if call.consecutive is True:
        first = call.q_positions[..., 0] - call.k_positions[..., 0]
        return along_diagonals(jnp.moveaxis(bias(first[..., None] + jnp.arange(1 - S, T)), -1, -2), T, S)
    distance = -relative(call, T, S)
    return by_rows(lambda d: jnp.moveaxis(bias(d), -1, -3), distance, width=width * row_size(distance))


def along_diagonals(values: jax.Array, T: int, S: int) -> jax.Array:
    """``[... T S]`` with entry (i, j) from ``values [... T+S-1]`` at ``i - j + S - 1``: every row is a slice."""
    reversed_values = values[..., ::-1]
    row = lambda i: jax.lax.dynamic_slice_in_dim(reversed_values, T - 1 - i, S, axis=-1)
    return jax.vmap(row, out_axes=-2)(jnp.arange(T))
