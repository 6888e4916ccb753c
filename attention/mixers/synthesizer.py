r"""Synthesizer: attention whose scores are made without keys, by a layer on each query or by a learned matrix alone.

```math
\text{dense: } s_{ij} = (W_2\, \mathrm{relu}(W_1 x_i + b_1) + b_2)_j, \qquad \text{random: } s_{ij} = R_{ij},
\qquad \text{then softmax}
```

It is `attention` with `score=synthesizer`, as a name of its own for the published layer.

Parameters: dense: 3(D² + D) + N·L(H + 1); random: 2(D² + D) + N·L².
Cost in T: T²
Traps: a key has no say in its own weight; L is fixed.
Source: Tay et al. 2020 (arXiv 2005.00743).
"""

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
        assert score.init is not None
        assert inner.init is not None
        table = score.init(jax.random.fold_in(rng, 1), dims)
        return {**inner.init(rng, dims._replace(reads=score.uses)), "score": table}

    def apply(params, x, context, call):
        parts = context.parts._replace(score=score)
        own = {name: layer for name, layer in params.items() if name != "score"}
        return inner.apply(own, x, context._replace(parts=parts, params={**context.params, "score": params["score"]}), call)

    return inner._replace(apply=apply, init=init, uses=("mask",), max_length="dims")
