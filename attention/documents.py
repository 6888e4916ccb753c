"""Documents packed into one row: which token is of which, and what runs along each of them and no further.

Segments number the documents, each a run of tokens. Where the mask keeps them apart (``Call.packed``), sums, counts and
neighbours end at their borders, so that a document in a row is what it would be alone.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp


def begins(segments: jax.Array, valid: jax.Array) -> jax.Array:
    """Where a valid token is of another segment than the valid one before it, bool ``[*B T]``, of arrays of that shape."""
    index, last = jnp.arange(valid.shape[-1]), valid.ndim - 1
    before = jax.lax.cummax(jnp.where(valid, index, -1), axis=last)
    before = jnp.concatenate([jnp.full_like(before[..., :1], -1), before[..., :-1]], axis=last)
    previous = jnp.take_along_axis(segments, jnp.maximum(before, 0), axis=-1)
    return valid & (before >= 0) & (segments != previous)


def numbered(segments: jax.Array, where: jax.Array | None) -> jax.Array:
    """The documents of a row counted from 0, ``[*#B T]``; padding, whatever its segment, is of the one before it."""
    valid = jnp.ones_like(segments, jnp.bool_) if where is None else where
    shape = jnp.broadcast_shapes(segments.shape, valid.shape)
    return jnp.cumsum(begins(jnp.broadcast_to(segments, shape), jnp.broadcast_to(valid, shape)), axis=-1)


def running(
    join: Callable[[jax.Array, jax.Array], jax.Array], x: jax.Array, numbers: jax.Array, *, reverse: bool = False
) -> jax.Array:
    """What ``join`` makes of the tokens of a document up to each one, or from it on.

    Nothing is taken back from a sum over the row, which would lose digits.

    Args:
      join: an associative function of two arrays, such as ``jnp.add``.
      x: ``[*B T D]``.
      numbers: ``[*#B T]``, as ``numbered`` makes them.
      reverse: whether it runs from the end.
    """
    of_border = jnp.ones_like(numbers[..., :1], jnp.bool_)
    changes = numbers[..., 1:] != numbers[..., :-1]
    first = jnp.concatenate([changes, of_border] if reverse else [of_border, changes], axis=-1)[..., None]

    def joined(earlier, later):
        (start, begun), (end, anew) = earlier, later
        return jnp.where(anew, end, join(start, end)), begun | anew

    given = x, jnp.broadcast_to(first, (*x.shape[:-1], 1))
    return jax.lax.associative_scan(joined, given, reverse=reverse, axis=x.ndim - 2)[0]


def of_document(join: Callable[[jax.Array, jax.Array], jax.Array], x: jax.Array, numbers: jax.Array) -> jax.Array:
    """What ``join`` makes of all of each token's document, ``[*B T D]``; of itself, it must make what it is."""
    return join(running(join, x, numbers), running(join, x, numbers, reverse=True))


def totals(x: jax.Array, numbers: jax.Array) -> jax.Array:
    """The sum over each token's document, ``[*B T D]``."""
    return running(jnp.add, x, numbers) + running(jnp.add, x, numbers, reverse=True) - x
