"""Weights by position: the rows of a table, and what happens past its end."""

import jax
import jax.numpy as jnp
from jax.core import Tracer


def length_of(max_length: int | None, what: str) -> int:
    """L, the longest sequence; raises ValueError where nobody said how long that is."""
    if max_length is None:
        raise ValueError(f"{what} needs Dims.max_length, the longest sequence")
    return max_length


def check_length(length: int, limit: int) -> None:
    """Refuses a sequence longer than the table, which a program that is being traced can tell too. Raises ValueError."""
    if length > limit:
        raise ValueError(f"the mixer has {limit} positions, got a sequence of {length}")


def places(positions: jax.Array | None, where: jax.Array | None, limit: int) -> jax.Array | None:
    """Positions ``[*#B S]`` with the table's end for tokens that do not count; None where they are 0, 1, ...

    Raises ValueError for a position outside ``[0, limit)`` of a token that counts, where positions are concrete; under a trace
    it becomes one past the end, of which ``rows`` makes NaN.
    """
    if positions is None:
        return None
    outside = (positions < 0) | (positions >= limit)
    outside = outside if where is None else outside & where
    if not isinstance(outside, Tracer) and outside.any():
        given = jnp.broadcast_to(positions, outside.shape)[outside].ravel()[0]
        raise ValueError(f"the mixer has {limit} positions, got position {given}")
    hidden = positions if where is None else jnp.where(where, positions, 0)
    return jnp.where(outside, limit, hidden)


def rows(table: jax.Array, places: jax.Array | None, length: int) -> jax.Array:
    """Entries of a table ``[L ...]``: its first ``[S ...]``, or those at the places ``[*#B S ...]``, NaN past its end."""
    return table[:length] if places is None else jnp.take(table, places, axis=0, mode="fill", fill_value=jnp.nan)
