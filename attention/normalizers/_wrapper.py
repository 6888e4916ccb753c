"""A normalizer inside another."""

from collections.abc import Callable
from typing import Any

import jax

from attention.normalizers._common import open_scores
from attention.records import Call, Dims, Normalizer, Params, Streaming


def inner_params(params: Params) -> Params:
    """The parameters of the normalizer inside a wrapper."""
    return params.get("inner", {})


def wrap(
    inner: Normalizer,
    *,
    init: Callable[[jax.Array, Dims], Params] | None = None,
    qk: Callable[[Params, jax.Array, jax.Array, Call], tuple[jax.Array, jax.Array]] | None = None,
    transform: Callable[[jax.Array], jax.Array] = lambda scores: scores,
    **facts: Any,
) -> Normalizer:
    """``inner`` on transformed scores, or on transformed queries and keys. Its parameters go under ``"inner"``."""
    streaming = inner.streaming

    def init_both(rng, dims):
        rng_outer, rng_inner = jax.random.split(rng)
        made = {} if init is None else init(rng_outer, dims)
        return made if inner.init is None else {**made, "inner": inner.init(rng_inner, dims)}

    def both_qk(params, query, key, call):
        if qk is not None:
            query, key = qk(params, query, key, call)
        return (query, key) if inner.qk is None else inner.qk(inner_params(params), query, key, call)

    def finish(params, output, x, call):
        assert inner.finish is not None
        return inner.finish(inner_params(params), output, x, call)

    def block(params, scores, mask, count, call):
        assert streaming is not None
        return streaming.block(inner_params(params), transform(open_scores(scores, mask)), mask, count, call)

    def exponents(params, scores, count, call):
        assert streaming is not None
        assert streaming.exponents is not None
        return streaming.exponents(inner_params(params), transform(scores), count, call)

    def start(params, call):
        assert streaming is not None
        return streaming.start(inner_params(params), call)

    return inner._replace(
        apply=lambda params, scores, mask, call: inner.apply(
            inner_params(params), transform(open_scores(scores, mask)), mask, call
        ),
        init=None if init is None and inner.init is None else init_both,
        qk=None if qk is None and inner.qk is None else both_qk,
        finish=None if inner.finish is None else finish,
        streaming=None if streaming is None else Streaming(block, start, None if streaming.exponents is None else exponents),
        **facts,
    )
