"""Synthesizer: attention whose scores are made without keys, by a layer on each query or by a learned matrix alone."""

from typing import Literal

import jax

from attention.mixers.attention import build as build_attention
from attention.records import Mixer
from attention.scores.synthesizer import build as build_score

__all__: list[str] = []


def build(
    form: Literal["dense", "random"] = "dense",
    heads: int = 4,
    head_dim: int | None = None,
    bias: bool = True,
    trainable: bool = True,
) -> Mixer:
    """Tay et al.'s synthesizers as they are published: softmax of the score of that name, and no other part.

    ``mixer=attention, score=synthesizer`` is the same layer with other normalizers and encodings. 3(D² + D) + N·L·(H + 1)
    parameters with ``'dense'``, whose projected queries are the hidden layer; 2(D² + D) + N·L² with ``'random'``. L is the
    longest text of the model.
    Tay et al. 2020 (arXiv 2005.00743).
    """
    inner = build_attention(heads=heads, head_dim=head_dim, bias=bias)
    score = build_score(form=form, trainable=trainable)

    def init(rng, dims):
        table = score.init(jax.random.fold_in(rng, 1), dims._replace(layer=dims.layer or 0))
        return {**inner.init(rng, dims._replace(reads=score.uses)), "score": table}

    def apply(params, x, context, call):
        parts = context.parts._replace(score=score)
        own = {name: layer for name, layer in params.items() if name != "score"}
        given = {**context.params, "score": ({}, params["score"])}
        return inner.apply(own, x, context._replace(parts=parts, params=given), call)

    return inner._replace(apply=apply, init=init, uses=("mask",), max_length="dims")
