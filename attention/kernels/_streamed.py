"""Attention of a block of queries in one pass over blocks of keys, for normalizers whose rows can be built up."""

import jax
import jax.numpy as jnp

from attention.carries import varying
from attention.kernels import Problem, allowed, block_output, block_scores, keys_from


def attend_streamed(problem: Problem, size: int) -> jax.Array:
    """Output ``[*B t N H]`` from ``size`` keys at a time; scores are recomputed in the backward pass.

    Sums carry a shift, the largest exponent so far, by which older ones shrink as it grows. The last block ends with the last
    key; the keys it shares with the one before are masked.
    """
    lead, S, streaming = problem.query.ndim - 3, problem.key.shape[-3], problem.parts.normalizer.streaming
    assert streaming is not None
    params, count = problem.params["normalizer"], row_counts(problem)
    heads_last = lambda x: jnp.swapaxes(x, -3, -2)  # [*B N t 1] to [*B t N 1]
    wide = jnp.result_type(problem.query, problem.key, problem.value, jnp.float32)
    zeros = heads_last(jnp.zeros_like(problem.query[..., :1], wide))

    @jax.checkpoint
    def add(carry, index):
        output, denominator, shift = carry
        begin = index * size
        start = jnp.minimum(begin, S - size)
        here = keys_from(problem, lead, S, start, size)
        scores, mask = block_scores(here)
        fresh = start + jnp.arange(size) >= begin
        mask = jnp.broadcast_to(fresh, (1,) * (scores.ndim - 1) + (size,)) if mask is None else mask & fresh
        numerator, part, block_shift = streaming.block(params, scores, mask, count, here.call)
        top = jax.lax.stop_gradient(jnp.maximum(shift, block_shift))
        level = jnp.where(top == -jnp.inf, 0.0, top)  # -inf: nothing allowed so far
        old, new = jnp.exp(shift - level), jnp.exp(block_shift - level)
        output = output * heads_last(old) + block_output(here, numerator, index) * heads_last(new)
        return tuple(each.astype(wide) for each in (output, denominator * old + part * new, top)), None

    start = (
        heads_last(zeros) + jnp.zeros(problem.value.shape[-1], wide),
        *(zeros + jnp.asarray(each, wide) for each in streaming.start(params, problem.call)),
    )
    drop = None if callable(problem.dropout) else problem.dropout
    read = problem._replace(parts=None, plan=None, dropout=drop)
    (output, denominator, _), _ = jax.lax.scan(add, varying(start, read), jnp.arange(-(-S // size)))
    empty = denominator == 0.0
    output = output / heads_last(jnp.where(empty, 1.0, denominator))
    return jnp.where(heads_last(empty), 0.0, output).astype(problem.value.dtype)


def row_counts(problem: Problem) -> jax.Array:
    """The number of keys each query may attend to, ``[*#B #N #t 1]``, at least 1."""
    mask, S = allowed(problem), problem.key.shape[-3]
    if mask is None:
        return jnp.full((1,) * problem.query.ndim, float(S))
    counted = jnp.sum(jnp.broadcast_to(mask, (*mask.shape[:-1], S)), axis=-1, keepdims=True)
    return jnp.maximum(counted.astype(jnp.float32), 1.0)
