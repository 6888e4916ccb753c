"""Learned tokens in the layers of an encoder that the text can attend to, and that the pooling does not see."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from attention.records import Call


def with_registers(call: Call, count: int, length: int) -> Call:
    """The call of ``count`` registers before a text of ``length`` tokens.

    Registers are valid, in the segment of the first token, and all at position 0, so that the text keeps its positions and no
    table of positions needs another row.
    """
    if not count:
        return call
    text = jnp.arange(length)

    def before(array: jax.Array, value: jax.Array) -> jax.Array:
        return jnp.concatenate([jnp.broadcast_to(value, (*array.shape[:-1], count)).astype(array.dtype), array], axis=-1)

    def of_positions(tree: Any) -> Any:
        one = lambda leaf: before(text if leaf is None else leaf, jnp.zeros((), jnp.int32))
        return jax.tree.map(one, tree, is_leaf=lambda leaf: leaf is None)

    of_valid = lambda valid: before(jnp.ones(length, bool) if valid is None else valid, jnp.ones((), bool))
    of_segments = lambda segments: None if segments is None else before(segments, segments[..., :1])
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
