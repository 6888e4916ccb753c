"""Attention on one block of queries: the order of operations, in one place."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from attention.dropout import dropout
from attention.records import Call, Params, Parts


class Problem(NamedTuple):
    """What a kernel computes: heads expanded, keys projected and rotated, features prepared.

    Attributes:
      query, key, value: ``[*B T N H]``, ``[*B S N H]``, ``[*B S N H]``.
      q_features, k_features, rest: what the encoding prepared.
      where: bool ``[*#B #N #T #S]`` or None, in addition to the mask and the padding of the call.
      bias: float ``[*#B #N #T #S]`` or None, in addition to the encoding's.
      call: with concrete positions, as masks see them.
      encoding_call: with concrete positions, as the encoding made them.
      params: (shared, own) of "encoding", "score" and "normalizer".
      dropout: rate on the weights, or None.
      parts: the records.
      ordered: whether positions are 0, 1, ..., so that blocks may be skipped statically.
    """

    query: jax.Array
    key: jax.Array
    value: jax.Array
    q_features: Any
    k_features: Any
    rest: Any
    where: jax.Array | None
    bias: jax.Array | None
    call: Call
    encoding_call: Call
    params: dict[str, tuple[Params, Params]]
    dropout: Any
    parts: Parts
    ordered: bool


def attend_block(problem: Problem) -> tuple[jax.Array, jax.Array]:
    """Output ``[*B t N H]`` and weights ``[*B N t s]`` of a block of queries on the keys at hand.

    Order: score and scale, the encoding's bias, the bias given, what modifies scores, mask, normalizer, dropout, sum of values.
    """
    scores, mask = block_scores(problem)
    weights = problem.parts.normalizer.apply(problem.params["normalizer"], scores, mask, problem.call)
    return block_output(problem, weights, 0), weights


def block_scores(problem: Problem) -> tuple[jax.Array, jax.Array | None]:
    """The scores ``[*B N t s]`` as the normalizer sees them, and who may attend to whom."""
    encoding, score, *_ = problem.parts
    params, prepared = problem.params, (problem.q_features, problem.k_features, problem.rest)
    scores = score.apply(params["score"], problem.query, problem.key, problem.call)
    for bias in (encoding.bias(params["encoding"], *prepared, problem.encoding_call), problem.bias):
        if bias is not None:
            scores = scores + bias
    scores = encoding.modify(params["encoding"], scores, *prepared, problem.encoding_call)
    return scores, allowed(problem)


def block_output(problem: Problem, weights: jax.Array, block: Any) -> jax.Array:
    """The sum of values ``[*B t N H]`` of a block's weights, with the encoding's own; ``block`` numbers the dropout's key."""
    if problem.dropout is not None:
        weights = dropout(weights, problem.dropout, jax.random.fold_in(problem.call.rng, block))
    output = jnp.einsum("...nts,...snh->...tnh", weights.astype(problem.value.dtype), problem.value)
    extra = problem.parts.encoding.values(problem.params["encoding"], weights, problem.encoding_call)
    return output if extra is None else output + extra.astype(output.dtype)


def allowed(problem: Problem) -> jax.Array | None:
    """The mask of the block, ``[*#B #N #t #s]``: who may attend to whom, or None where everyone may."""
    call = problem.call
    lengths = (problem.query.shape[-3], problem.key.shape[-3])
    prepared = (problem.q_features, problem.k_features, problem.rest)
    of_encoding = problem.parts.encoding.where(problem.params["encoding"], *prepared, problem.encoding_call)
    masks = [problem.where, of_encoding, problem.parts.mask.apply(call, lengths)]
    if call.k_valid is not None:
        masks.append(call.k_valid[..., None, None, :])
    if call.q_valid is not None and problem.parts.normalizer.reads == "all":
        masks.append(call.q_valid[..., None, :, None])  # rows couple, so padded ones have to leave
    present = [mask for mask in masks if mask is not None]
    combined = None
    for mask in present:
        combined = mask if combined is None else combined & mask
    return combined


def keys_from(problem: Problem, batch: int, S: int, start: jax.Array, span: int) -> Problem:
    """The problem on ``span`` keys from ``start`` on."""

    def cut(leaf, axis):
        if leaf is None or leaf.shape[axis] != S:
            return leaf
        return jax.lax.dynamic_slice_in_dim(leaf, start, span, axis)

    def cut_call(call):
        last = lambda leaf: cut(leaf, leaf.ndim - 1)
        return dataclasses.replace(
            call, k_positions=jax.tree.map(last, call.k_positions), k_valid=jax.tree.map(last, call.k_valid)
        )

    return problem._replace(
        key=cut(problem.key, problem.key.ndim - 3),
        value=cut(problem.value, problem.value.ndim - 3),
        k_features=jax.tree.map(lambda leaf: cut(leaf, batch), problem.k_features),
        where=problem.where if problem.where is None else cut(problem.where, problem.where.ndim - 1),
        bias=problem.bias if problem.bias is None else cut(problem.bias, problem.bias.ndim - 1),
        call=cut_call(problem.call),
        encoding_call=cut_call(problem.encoding_call),
    )
