"""The positions and documents of a call, and what is indexed by positions: which a table has, and what happens past its end.

A position past the end of a table is an error where positions are concrete; under a trace they have no values yet, and what is
read there becomes NaN (``inside``). What is read stands where its indices do, under explicit sharding too (``taken``).
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax.core import Tracer
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from attention.records import Call


def counted(positions: jax.Array | None, length: int) -> jax.Array:
    """The positions given, or 0, 1, ..."""
    return jnp.arange(length) if positions is None else positions


def q_positions(call: Call, length: int) -> jax.Array:
    """Positions of the queries ``[*#B T]``; 0, 1, ... where the call has none."""
    return counted(call.q_positions, length)


def k_positions(call: Call, length: int) -> jax.Array:
    """Positions of the keys ``[*#B S]``; 0, 1, ... where the call has none."""
    return counted(call.k_positions, length)


def of_pairs(call: Call, lengths: tuple[int, int]) -> tuple[jax.Array, jax.Array]:
    """Positions of the queries and of the keys of a block of ``(t, s)`` scores."""
    return q_positions(call, lengths[0]), k_positions(call, lengths[1])


def last_key(call: Call, S: int) -> jax.Array:
    """``call.k_last``, or where the call has none, the largest position of a valid key ``[*#B]``; -1 without any."""
    if call.k_last is not None:
        return call.k_last
    k = k_positions(call, S)
    valid = jnp.ones_like(k, bool) if call.k_valid is None else call.k_valid
    return jnp.max(jnp.where(valid, k, -1), axis=-1, initial=-1)


def both_valid(call: Call) -> jax.Array | bool:
    """Which pairs are of text on both sides, ``[*#B #t #s]``; True where nothing is padding."""
    rows = True if call.q_valid is None else call.q_valid[..., :, None]
    columns = True if call.k_valid is None else call.k_valid[..., None, :]
    return rows & columns


def packed_segments(call: Call) -> jax.Array | None:
    """The segments of the keys ``[*#B S]`` where they are documents that do not see each other; None where a row is one."""
    return call.k_segments if call.packed else None


def same_document(call: Call) -> jax.Array | None:
    """Which of the keys at hand are text of each query's document, bool ``[*#B t s]``; None where a row is one document."""
    if not call.packed or call.q_segments is None or call.k_segments is None:
        return None
    same = call.q_segments[..., :, None] == call.k_segments[..., None, :]
    return same if call.k_valid is None else same & call.k_valid[..., None, :]


def table_length(owner: str, max_length: int | None) -> int:
    """L, the longest sequence. Raises ValueError where nobody said how long that is."""
    if max_length is None:
        raise ValueError(f"{owner} needs Dims.max_length, the longest sequence")
    return max_length


def check_length(owner: str, limit: int, length: int) -> None:
    """Raises ValueError for a sequence longer than the table, which is known under a trace too."""
    if length > limit:
        raise ValueError(f"{owner} has {limit} positions, got a sequence of {length}")


def check_whole(owner: str, *positions: jax.Array) -> None:
    """Raises ValueError for positions that are no whole numbers, for which a table has no row."""
    for each in positions:
        if not jnp.issubdtype(each.dtype, jnp.integer):
            raise ValueError(f"{owner} has a row per whole position, got positions of type {each.dtype}")


def inside(owner: str, limit: int, found: jax.Array, counts: Any = True, what: str = "position") -> jax.Array:
    """Which of the numbers ``found`` lie in ``[0, limit)``.

    Raises ValueError for one that ``counts`` (bool, broadcast against ``found``) and does not, where they are concrete.
    """
    known = (found >= 0) & (found < limit)
    outside = ~known & counts
    if not isinstance(outside, Tracer) and outside.any():
        given = jnp.broadcast_to(found, outside.shape)[outside].ravel()[0]
        raise ValueError(f"{owner} has {limit} positions, got {what} {given}")
    return known


def table_positions(owner: str, limit: int, call: Call, length: int) -> jax.Array:
    """The positions of ``length`` tokens for a table; padding is at 0, so that where it is does not matter.

    Raises ValueError for a sequence that is too long, or positions that are no whole numbers.
    """
    if call.q_positions is None:
        check_length(owner, limit, length)
    positions = q_positions(call, length)
    check_whole(owner, positions)
    return positions if call.q_valid is None else jnp.where(call.q_valid, positions, 0)


def places(owner: str, limit: int, positions: jax.Array | None, counts: jax.Array | None) -> jax.Array | None:
    """Rows ``[*#B S]`` of a table for positions, one past its end where it has none; None where they are 0, 1, ...

    Tokens that do not count are at 0, wherever they are. Raises ValueError as ``inside``.
    """
    if positions is None:
        return None
    outside = ~inside(owner, limit, positions, True if counts is None else counts)
    outside = outside if counts is None else outside & counts
    hidden = positions if counts is None else jnp.where(counts, positions, 0)
    return jnp.where(outside, limit, hidden)


def rows(table: jax.Array, places: jax.Array | None, length: int) -> jax.Array:
    """Entries of a table ``[L ...]``: its first ``[S ...]``, or those at the places ``[*#B S ...]``, NaN past its end."""
    return table[:length] if places is None else jnp.take(table, places, axis=0, mode="fill", fill_value=jnp.nan)


def taken(table: jax.Array, index: jax.Array) -> jax.Array:
    """``table[index]``, split over a mesh as the index is."""
    return table.at[index].get(out_sharding=sharding_like(index, index.ndim, index.ndim + table.ndim - 1))


def sharding_like(x: jax.Array, axes: int, ndim: int) -> NamedSharding | None:
    """That of ``ndim`` axes of which the first ``axes`` are split as those of ``x``; None where sharding is not explicit."""
    given = jax.typeof(x).sharding
    if AxisType.Explicit not in given.mesh.axis_types:
        return None
    return NamedSharding(given.mesh, PartitionSpec(*given.spec[:axes], *[None] * (ndim - axes)))
