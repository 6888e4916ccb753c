"""Blocks of queries with their whole rows of keys: memory of some rows, whatever the length.

A block's scores are recomputed in the backward pass. Every normalizer that reads blocks or rows is served, and every bias,
which is asked for block by block. Where the mask names blocks without an allowed pair, only the keys it leaves are read.
Where even few rows of scores are too many, a normalizer that can be streamed takes its rows in blocks of keys too, in one pass.

Softmax and its kin on scores that are products go in visits of some queries to some keys (``_visits``), where that costs less.
These have a backward pass of their own: ``jax.jvp`` and ``jax.jacfwd`` of the attention itself are refused by JAX; forward over
reverse, as in ``jax.hessian``, works, and the dense kernel does both.
"""

import dataclasses
import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from attention.kernels import Ask, Kernel, Problem, _plan, attend_block, keys_from, keys_of, take
from attention.kernels._plan import Group, Plan, Visits, listed
from attention.kernels._streamed import attend_streamed
from attention.kernels._visits import attend_visits, can_visit
from attention.records import Mask

__all__: list[str] = []

BLOCK_ELEMENTS = 2**22  # scores held at once, 16 MiB of float32: fastest of 2^20 to 2^23 on a 2-core CPU (benchmarks.kernels)
KEY_BLOCK = 16
STREAM_ELEMENTS = 2**22  # scores of the fewest rows above which they are streamed, where they can be
STREAM_ROWS, STREAM_KEYS = 128, 64
VISIT_SIZES = tuple((2**i, 2**j) for i in range(6, 10) for j in range(6, 11) if i + j <= 17)  # queries and keys of a visit
VISIT_ELEMENTS = 2**23  # scores of all its heads and examples
STREAM_BLOCKS = 2**16  # more than a row has of them


def build() -> Kernel:
    """Serves parts that read a row of the scores at a time, or less, and never returns the weights."""
    return Kernel(serves=_serves, run=_run, plan=_planned)


def _serves(ask: Ask, device: str) -> str | None:
    if ask.reads == "all":
        return "it holds some rows of the scores at a time, and one of the parts reads them all"
    return "it never holds all weights; ask for them with kernel=dense or auto" if ask.weights else None


def _planned(problem: Problem) -> Problem:
    """Where keys are read in lists, the encoding's call does not say any more that positions count up by ones."""
    plan = make_plan(problem)
    if not listed(plan):
        return problem._replace(plan=plan)
    return problem._replace(plan=plan, encoding_call=dataclasses.replace(problem.encoding_call, consecutive=False))


def _run(problem: Problem) -> tuple[jax.Array, None]:
    """Output ``[*B T N H]``; the weights are never held, so None stands in their place."""
    *batch, T, _, _ = problem.query.shape
    plan, outputs, begin = problem.plan, [], 0
    if isinstance(plan, Visits):
        return attend_visits(problem, plan), None
    for group in plan.groups:
        outputs.append(_attend_group(problem, plan, group, begin))
        begin += group.queries.shape[-1]
    return _join(outputs, plan, len(batch), T), None


def make_plan(problem: Problem) -> Plan | Visits:
    """What the kernel will read."""
    T, S, maps = problem.query.shape[-3], problem.key.shape[-3], _maps(problem)
    if not (isinstance(T, int) and isinstance(S, int)):
        return Plan(T, S, (Group(np.arange(1), None, S),))  # lengths that jax.export leaves open: all queries are one block
    plain = _plan.whole(T, S, min(STREAM_ROWS, T) if _streams(problem, S) else block_rows(T, S, maps))
    mask = problem.parts.mask if problem.ordered else Mask()
    fitting = [(rows, size) for rows, size in VISIT_SIZES if rows * size * maps <= VISIT_ELEMENTS]
    visiting = [_plan.visits(mask, T, S, *each) for each in fitting] if can_visit(problem) else []
    fits = lambda rows, span: rows <= STREAM_ROWS if _streams(problem, span) else rows * span * maps <= BLOCK_ELEMENTS
    runs = problem.parts.encoding.reads in ("rows", "all")
    options = {"size": KEY_BLOCK, "maps": maps, "plain": plain, "fits": fits, "runs": runs, "visiting": visiting}
    return _plan.cheapest(mask, T, S, problem.call.k_last, **options)


def _maps(problem: Problem) -> int:
    """Heads times examples, as far as they are known: ``jax.export`` may leave sizes open."""
    return math.prod(size for size in (*problem.query.shape[:-3], problem.query.shape[-2]) if isinstance(size, int))


def _streams(problem: Problem, span: int) -> bool:
    return isinstance(span, int) and can_stream(problem) and _plan.MIN_ROWS * span * _maps(problem) > STREAM_ELEMENTS


def can_stream(problem: Problem) -> bool:
    """Whether the normalizer and the encoding can do with blocks of keys."""
    return problem.parts.normalizer.streaming is not None and problem.parts.encoding.reads == "block"


def block_rows(T: int, S: int, maps: int) -> int:
    """Queries per block: a power of two from 16 to 1024 whose scores fit ``BLOCK_ELEMENTS``, no more than T needs."""
    fitting = max(_plan.MIN_ROWS, BLOCK_ELEMENTS // max(S * maps, 1))
    return min(2 ** int(math.log2(fitting)), _plan.MAX_ROWS, max(_plan.MIN_ROWS, _plan.power(T)))


def _attend_group(problem: Problem, plan: Plan, group: Group, begin: int) -> jax.Array:
    """Outputs ``[g *B rows N H]`` of the blocks of a group; ``begin`` numbers the first one."""
    *batch, T, _, _ = problem.query.shape
    S, rows, span = problem.key.shape[-3], plan.rows, group.span
    count = group.queries.shape[-1]
    over_queries = functools.partial(_over_queries, problem, len(batch), T)
    blocks = [_split(leaf, axis, rows, group.queries, len(batch)) for leaf, axis in over_queries()]
    keys, lists = None, np.ndim(group.keys) > 1
    if group.keys is not None:
        keys = jnp.asarray(group.keys, jnp.int32)
        keys = jnp.moveaxis(keys, -2, 0) if lists else keys
    streams = _streams(problem, span)

    @jax.checkpoint
    def run(block):
        index, keys, *leaves = block
        here = over_queries(leaves)
        if lists:
            here = keys_of(here, len(batch), S, keys, plan.size)
        elif keys is not None:
            here = keys_from(here, len(batch), S, keys, span)
        if callable(drop := here.dropout):  # numbers of its own for the blocks of each block of queries
            here = here._replace(dropout=lambda weights, block: drop(weights, index * STREAM_BLOCKS + block))
        if here.call.rng is not None:
            here = here._replace(call=dataclasses.replace(here.call, rng=jax.random.fold_in(here.call.rng, index)))
        if streams:
            return attend_streamed(here, min(span, max(STREAM_KEYS, BLOCK_ELEMENTS // (rows * _maps(problem)))))
        return attend_block(here)[0]

    return jax.lax.map(run, (jnp.arange(begin, begin + count), keys, *blocks))


def _over_queries(problem: Problem, batch: int, T: int, new: list[Any] | None = None) -> Any:
    """The leaves that have a query axis, as (leaf, axis) pairs; with ``new``, the problem with those leaves replaced.

    Axes are counted from the right.
    """
    call, encoding_call = problem.call, problem.encoding_call
    along = lambda leaf: leaf is not None and leaf.shape[-2] == T
    leaves = [(problem.query, -3)]
    features, features_tree = jax.tree.flatten(problem.q_features)
    leaves += [(leaf, batch - leaf.ndim) for leaf in features]
    tokens, tokens_tree = jax.tree.flatten((encoding_call.q_positions, call.q_positions, call.q_valid, call.q_segments))
    leaves += [(leaf, -1) for leaf in tokens]
    split = [name for name in ("where", "bias") if along(getattr(problem, name))]
    leaves += [(getattr(problem, name), -2) for name in split]
    if new is None:
        return leaves
    query, *rest = new
    features, rest = rest[: len(features)], rest[len(features) :]
    tokens, rest = rest[: len(tokens)], rest[len(tokens) :]
    encoding_positions, q_positions, q_valid, q_segments = jax.tree.unflatten(tokens_tree, tokens)
    of_tokens = {"q_valid": q_valid, "q_segments": q_segments}
    return problem._replace(
        query=query,
        q_features=jax.tree.unflatten(features_tree, features),
        call=dataclasses.replace(call, q_positions=q_positions, **of_tokens),
        encoding_call=dataclasses.replace(encoding_call, q_positions=encoding_positions, **of_tokens),
        **dict(zip(split, rest)),
    )


def _split(leaf: jax.Array, axis: int, rows: int, chosen: Any, batch: int) -> jax.Array:
    """``[..., T, ...]`` to the chosen of its blocks ``[g, ..., rows, ...]``, padded with zeros."""
    axis += leaf.ndim
    count = -(-leaf.shape[axis] // rows)
    pad = [(0, 0)] * leaf.ndim
    pad[axis] = (0, count * rows - leaf.shape[axis])
    padded = jnp.pad(leaf, pad)
    blocks = padded.reshape(*leaf.shape[:axis], count, rows, *leaf.shape[axis + 1 :])
    if not _is_range(chosen, count):
        axis -= blocks.ndim
        blocks = take(blocks, axis, jnp.asarray(chosen), batch)
        axis += blocks.ndim
    return jnp.moveaxis(blocks, axis, 0)


def _is_range(chosen: Any, count: int) -> bool:
    return isinstance(chosen, np.ndarray) and np.array_equal(chosen, np.arange(count))


def _join(groups: list[jax.Array], plan: Plan, batch: int, T: int) -> jax.Array:
    """The inverse of ``_split``, without the padding: ``[*B T N H]`` of the groups' ``[g *B rows N H]``."""
    blocks = jnp.moveaxis(groups[0] if len(groups) == 1 else jnp.concatenate(groups), 0, batch)
    numpy = all(isinstance(group.queries, np.ndarray) for group in plan.groups)
    order = (np if numpy else jnp).concatenate([group.queries for group in plan.groups], axis=-1)
    if not _is_range(order, order.shape[-1]):
        blocks = take(blocks, -4, jnp.argsort(jnp.asarray(order), axis=-1), batch)
    joined = blocks.reshape(*blocks.shape[:batch], -1, *blocks.shape[batch + 2 :])
    return jax.lax.slice_in_dim(joined, 0, T, axis=batch)
