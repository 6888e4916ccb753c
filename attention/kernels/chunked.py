"""Blocks of queries with their whole rows of keys: memory of some rows, whatever the length.

A block's scores are recomputed in the backward pass. Every normalizer that reads blocks or rows is served, and every bias,
which is asked for block by block. Where the mask names blocks without an allowed pair, only the keys it leaves are read.
Where even few rows of scores are too many, a normalizer that can be streamed takes its rows in blocks of keys too, in one pass.
"""

import dataclasses
import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from attention.kernels._block import Problem, attend_block, keys_from
from attention.kernels._streamed import attend_streamed

BLOCK_ELEMENTS = 2**22  # scores held at once, 16 MiB of float32: fastest of 2^20 to 2^23 on a 2-core CPU (benchmarks.kernels)
KEY_BLOCK = 64
STREAM_ELEMENTS = 2**22  # scores of the fewest rows above which they are streamed, where they can be
MIN_ROWS, STREAM_ROWS = 16, 128


def chunked(problem: Problem) -> tuple[jax.Array, None]:
    """Output ``[*B T N H]``; the weights are never held, so None stands in their place."""
    *batch, T, N, _ = problem.query.shape
    S = problem.key.shape[-3]
    maps = math.prod(batch) * N
    streamed = can_stream(problem) and MIN_ROWS * S * maps > STREAM_ELEMENTS
    rows = min(STREAM_ROWS, T) if streamed else block_rows(T, S, maps)
    count = -(-T // rows)
    starts, span = _key_spans(problem, rows, T, S)

    over_queries = functools.partial(_over_queries, problem, len(batch), T)
    blocks = [_split(leaf, axis, rows, count) for leaf, axis in over_queries()]

    @jax.checkpoint
    def run(block):
        index, start, *leaves = block
        here = over_queries(leaves)
        if span < S:
            here = keys_from(here, len(batch), S, start, span)
        if here.call.rng is not None:
            here = here._replace(call=dataclasses.replace(here.call, rng=jax.random.fold_in(here.call.rng, index)))
        if streamed:
            return attend_streamed(here, min(span, max(KEY_BLOCK, BLOCK_ELEMENTS // (rows * maps))))
        return attend_block(here)[0]

    output = jax.lax.map(run, (jnp.arange(count), starts, *blocks))
    return _join(output, len(batch), T), None


def can_stream(problem: Problem) -> bool:
    """Whether the normalizer and the encoding can do with blocks of keys."""
    return problem.parts.normalizer.streaming is not None and problem.parts.encoding.reads in ("nothing", "block")


def block_rows(T: int, S: int, maps: int) -> int:
    """Queries per block: a power of two from 16 to 1024 whose scores fit ``BLOCK_ELEMENTS``, no more than T needs."""
    fitting = max(MIN_ROWS, BLOCK_ELEMENTS // max(S * maps, 1))
    return min(2 ** int(math.log2(fitting)), 1024, max(MIN_ROWS, 2 ** math.ceil(math.log2(max(T, 1)))))


def _key_spans(problem: Problem, rows: int, T: int, S: int) -> tuple[jax.Array, int]:
    """The first key each block reads, and how many: the same number for all, so that one program serves them."""
    count = -(-T // rows)
    keep = problem.parts.mask.blocks(T, S, rows, KEY_BLOCK) if problem.ordered else None
    if keep is None or not keep.any():
        return jnp.zeros(count, jnp.int32), S
    first = np.where(keep.any(1), keep.argmax(1), 0)
    last = np.where(keep.any(1), keep.shape[1] - keep[:, ::-1].argmax(1), 0)
    span = min(int((last - first).max()) * KEY_BLOCK, S)
    return jnp.asarray(np.clip(first * KEY_BLOCK, 0, S - span), jnp.int32), span


def _over_queries(problem: Problem, batch: int, T: int, new: list[Any] | None = None) -> Any:
    """The leaves that have a query axis, as (leaf, axis) pairs; with ``new``, the problem with those leaves replaced."""
    call, encoding_call = problem.call, problem.encoding_call
    along = lambda leaf, axis: leaf is not None and leaf.shape[axis] == T
    leaves = [(problem.query, problem.query.ndim - 3)]
    features, features_tree = jax.tree.flatten(problem.q_features)
    leaves += [(leaf, batch) for leaf in features]
    positions, positions_tree = jax.tree.flatten((call.q_positions, encoding_call.q_positions, call.q_valid))
    leaves += [(leaf, leaf.ndim - 1) for leaf in positions]
    split = [name for name in ("where", "bias") if along(getattr(problem, name), -2)]
    leaves += [(getattr(problem, name), getattr(problem, name).ndim - 2) for name in split]
    if new is None:
        return leaves
    query, *rest = new
    features, rest = rest[: len(features)], rest[len(features) :]
    positions, rest = rest[: len(positions)], rest[len(positions) :]
    q_positions, encoding_positions, q_valid = jax.tree.unflatten(positions_tree, positions)
    return problem._replace(
        query=query,
        q_features=jax.tree.unflatten(features_tree, features),
        call=dataclasses.replace(call, q_positions=q_positions, q_valid=q_valid),
        encoding_call=dataclasses.replace(encoding_call, q_positions=encoding_positions, q_valid=q_valid),
        **dict(zip(split, rest)),
    )


def _split(leaf: jax.Array, axis: int, rows: int, count: int) -> jax.Array:
    """``[..., T, ...]`` to ``[count, ..., rows, ...]``, padded with zeros."""
    pad = [(0, 0)] * leaf.ndim
    pad[axis] = (0, count * rows - leaf.shape[axis])
    padded = jnp.pad(leaf, pad)
    shape = (*leaf.shape[:axis], count, rows, *leaf.shape[axis + 1 :])
    return jnp.moveaxis(padded.reshape(shape), axis, 0)


def _join(blocks: jax.Array, axis: int, T: int) -> jax.Array:
    """The inverse of ``_split``, without the padding."""
    moved = jnp.moveaxis(blocks, 0, axis)
    joined = moved.reshape(*moved.shape[:axis], -1, *moved.shape[axis + 2 :])
    return jax.lax.slice_in_dim(joined, 0, T, axis=axis)
