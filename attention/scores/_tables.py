"""Scores read from a table of positions: rows by position, and what happens past its end."""

import jax
import jax.numpy as jnp
from jax.core import Tracer


def inside(positions: jax.Array, length: int) -> jax.Array:
    """Which positions a table of ``length`` has; raises ValueError for one it has not where positions are concrete."""
    found = (positions >= 0) & (positions < length)
    if not isinstance(found, Tracer) and not found.all():
        outside = positions[~found].ravel()[0]
        raise ValueError(f"the score has {length} positions, got position {outside}")
    return found


def rows(table: jax.Array, positions: jax.Array) -> jax.Array:
    """Entries ``[*B S N ...]`` of a table ``[N L ...]``, of position 0 where there is none: see ``inside``."""
    return jnp.moveaxis(table, 1, 0)[jnp.where(inside(positions, table.shape[1]), positions, 0)]


def or_nan(scores: jax.Array, known: jax.Array) -> jax.Array:
    """Scores where ``known``, else NaN. Put on scores and not on keys, so that a masked key passes no NaN on."""
    return jnp.where(known, scores, jnp.nan)


def check_length(length: int, table_length: int) -> None:
    """Refuses a sequence longer than the table, which a program that is being traced can tell too."""
    if length > table_length:
        raise ValueError(f"the score has {table_length} positions, got a sequence of {length}")


def positions_of(given: jax.Array | None, length: int) -> jax.Array:
    """The positions given, or 0, 1, ..."""
    return jnp.arange(length) if given is None else given


def table_length(max_length: int | None) -> int:
    """L, the longest sequence; raises ValueError where nobody said how long that is."""
    if max_length is None:
        raise ValueError("a score by position needs Dims.max_length, the longest sequence")
    return max_length
