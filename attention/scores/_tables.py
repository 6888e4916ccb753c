"""Scores read from a table of positions: its rows, and scores of positions that it has not."""

import jax
import jax.numpy as jnp

from attention import positions

OWNER = "the score"


def inside(given: jax.Array, length: int) -> jax.Array:
    """Which positions a table of ``length`` has; raises ValueError for one it has not where positions are concrete."""
    return positions.inside(OWNER, length, given)


def rows(table: jax.Array, given: jax.Array) -> jax.Array:
    """Entries ``[*B S N ...]`` of a table ``[N L ...]``, of position 0 where there is none: see ``or_nan``."""
    return jnp.moveaxis(table, 1, 0)[jnp.where(inside(given, table.shape[1]), given, 0)]


def or_nan(scores: jax.Array, known: jax.Array) -> jax.Array:
    """Scores where ``known``, else NaN. Put on scores and not on keys, so that a masked key passes no NaN on."""
    return jnp.where(known, scores, jnp.nan)
