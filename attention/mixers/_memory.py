"""Learned keys and values beside those of the text, attended by every query whatever the mask says."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from attention.attend import completed
from attention.placement import placed
from attention.records import Call, Context, Dims, Mask, Params, Parts


def init_memory(rng: jax.Array, dims: Dims, count: int) -> Params:
    """Keys and values ``[m K H]``, N(0, 1/H) at the start."""
    shape = (count, dims.kv_heads, dims.head_dim)
    return {name: jax.random.normal(r, shape) * dims.head_dim**-0.5 for name, r in zip(("key", "value"), jax.random.split(rng))}


def refused(parts: Parts) -> tuple[str, str] | None:
    """The part that memory does not go with, and why."""
    encoding = parts.encoding
    if encoding.on_scores:
        return "encoding", "this encoding compares positions or counts keys, and a learned key has no position"
    if parts.score.max_length is not None or set(parts.score.uses) != {"query", "key"}:
        return "score", "this score goes by positions, and a learned key has none"
    if parts.normalizer.needs_causal:
        return "normalizer", "this normalizer goes by the order of the keys, in which a learned key has no place"
    return None


def with_memory(
    key: jax.Array, value: jax.Array, memory: Params, queries: int, context: Context, call: Call
) -> tuple[jax.Array, jax.Array, Context, Call]:
    """Keys and values ``[*B m+S K H]``, and what masks and rotations are told.

    To masks the learned keys are at position -1, by which they are known; a rotation sees them at 0, where it turns nothing.
    """
    count, S = len(memory["key"]), key.shape[-3]
    batch = key.shape[:-3]
    key, value = (
        jnp.concatenate([placed(jnp.broadcast_to(own.astype(x.dtype), (*batch, *own.shape)), x, len(batch)), x], axis=-3)
        for own, x in ((memory["key"], key), (memory["value"], value))
    )
    encoding_call = context.encoding_call or call
    here, there = completed(call, queries, S), completed(encoding_call, queries, S)
    here = dataclasses.replace(
        call,
        q_positions=here.q_positions,
        k_positions=_preceded(here.k_positions, count, -1),
        k_valid=_preceded(call.k_valid, count, True),
        k_segments=_preceded(call.k_segments, count, -1),
    )
    there = dataclasses.replace(
        encoding_call,
        q_positions=there.q_positions,
        k_positions=jax.tree.map(lambda leaf: _preceded(leaf, count, 0), there.k_positions),
        k_valid=_preceded(encoding_call.k_valid, count, False),
        prefix=False,
        k_segments=_preceded(encoding_call.k_segments, count, -1),
    )
    parts = context.parts._replace(mask=_open(context.parts.mask))
    of_all = lambda leaf: None if leaf is None else jnp.broadcast_to(leaf, (*leaf.shape[:-1], S))
    where, bias = _preceded(of_all(context.where), count, True), _preceded(of_all(context.bias), count, 0)
    return key, value, context._replace(parts=parts, encoding_call=there, where=where, bias=bias), here


def _open(mask: Mask) -> Mask:
    """The mask, with the learned keys allowed to all."""

    def apply(call: Call, lengths: tuple[int, int]) -> jax.Array | None:
        allowed = None if mask.apply is None else mask.apply(call, lengths)
        return None if allowed is None else allowed | (call.k_positions < 0)[..., None, None, :]

    return Mask(apply=apply, causal=mask.causal, packs=mask.packs)


def _preceded(leaf: Any, count: int, fill: Any) -> Any:
    """``[... S]`` with ``count`` entries before it."""
    if leaf is None:
        return None
    return jnp.concatenate([jnp.full((*leaf.shape[:-1], count), fill, leaf.dtype), leaf], axis=-1)
