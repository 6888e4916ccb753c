"""Tables with a row per position: which positions they have, and their rows."""

import jax
import jax.numpy as jnp
from jax.core import Tracer

from attention.encodings._positions import q_positions
from attention.records import Call


def table_positions(call: Call, length: int, rows: int, name: str) -> jax.Array:
    """The positions of ``length`` tokens for a table of ``rows``; padding is at 0, so that where it is does not matter.

    Raises:
      ValueError: for a sequence that is too long, or positions that are not whole numbers.
    """
    if call.q_positions is None and length > rows:
        raise ValueError(f"{name} has {rows} positions, got a sequence of {length}")
    positions = q_positions(call, length)
    if not jnp.issubdtype(positions.dtype, jnp.integer):
        raise ValueError(f"{name} has a row per whole position, got positions of type {positions.dtype}")
    return positions if call.q_valid is None else jnp.where(call.q_valid, positions, 0)


def inside_table(positions: jax.Array, rows: int) -> jax.Array:
    """Which positions a table of ``rows`` has. Raises ValueError for one that it has not, where positions are concrete."""
    inside = (positions >= 0) & (positions < rows)
    if not isinstance(inside, Tracer) and not inside.all():
        outside = positions[~inside].ravel()[0]
        raise ValueError(f"the table has {rows} positions, got position {outside}")
    return inside


def nan_outside(code: jax.Array, inside: jax.Array) -> jax.Array:
    """The code ``[*B T D]``, NaN at positions that have none."""
    return jnp.where(inside[..., None], code, jnp.nan)
