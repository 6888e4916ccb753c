"""Attention on one block of queries: the order of operations, in one place."""

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
    encoding, score, normalizer, _ = problem.parts
    params, prepared = problem.params, (problem.q_features, problem.k_features, problem.rest)
    scores = score.apply(params["score"], problem.query, problem.key, problem.call)
    for bias in (encoding.bias(params["encoding"], *prepared, problem.encoding_call), problem.bias):
        if bias is not None:
            scores = scores + bias
    scores = encoding.modify(params["encoding"], scores, *prepared, problem.encoding_call)
    weights = normalizer.apply(params["normalizer"], scores, allowed(problem), problem.call)
    used = weights
    if problem.dropout is not None:
        used = dropout(weights, problem.dropout, jax.random.fold_in(problem.call.rng, 0))
    value = problem.value
    output = jnp.einsum("...nts,...snh->...tnh", used.astype(value.dtype), value)
    extra = encoding.values(params["encoding"], used, problem.encoding_call)
    return output if extra is None else output + extra.astype(output.dtype), weights


def allowed(problem: Problem) -> jax.Array | None:
    """The mask of the block, ``[*#B #N #t #s]``: who may attend to whom, or None where everyone may."""
    call = problem.call
    lengths = (problem.query.shape[-3], problem.key.shape[-3])
    masks = [problem.where, problem.parts.mask.apply(call, lengths)]
    if call.k_valid is not None:
        masks.append(call.k_valid[..., None, None, :])
    if call.q_valid is not None and problem.parts.normalizer.reads == "all":
        masks.append(call.q_valid[..., None, :, None])  # rows couple, so padded ones have to leave
    present = [mask for mask in masks if mask is not None]
    combined = None
    for mask in present:
        combined = mask if combined is None else combined & mask
    return combined
