"""Learned tokens before a text: how they are put there, and those that the layers of an encoder see and a pooling does not."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from attention.records import Call


def preceded(x: jax.Array, extra: Any, count: int, axis: int = -1) -> jax.Array:
    """``x`` with ``count`` more entries before it along an axis: ``[*B T]`` to ``[*B count+T]``; ``extra`` is broadcast."""
    shape = list(x.shape)
    shape[axis] = count
    return jnp.concatenate([jnp.broadcast_to(jnp.asarray(extra, x.dtype), shape), x], axis=axis)


def with_registers(call: Call, count: int, length: int) -> Call:
    """The call of ``count`` registers before a text of ``length`` tokens.

    Registers are valid, in the segment of the first token, and all at position 0, so that the text keeps its positions and no
    table of positions needs another row.
    """
    if not count:
        return call

    def of_positions(tree: Any) -> Any:
        one = lambda leaf: preceded(jnp.arange(length) if leaf is None else leaf, 0, count)
        return jax.tree.map(one, tree, is_leaf=lambda leaf: leaf is None)

    of_valid = lambda valid: preceded(jnp.ones(length, bool) if valid is None else valid, True, count)
    of_segments = lambda segments: None if segments is None else preceded(segments, segments[..., :1], count)
    return dataclasses.replace(
        call,
        q_positions=of_positions(call.q_positions),
        k_positions=of_positions(call.k_positions),
        q_valid=of_valid(call.q_valid),
        k_valid=of_valid(call.k_valid),
        q_segments=of_segments(call.q_segments),
        k_segments=of_segments(call.k_segments),
        consecutive=False,
    )
