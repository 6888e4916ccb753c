r"""One mixer on the embeddings and nothing else: no residual connection, no norm, no MLP; attention as tutorials begin it.

```math
h = \mathrm{mixer}(x)
```

One mixer on the embeddings, with its encoding, score, normalizer and mask; no residual connection, norm or MLP.

Parameters: those of the mixer, 4(D² + D)
Steps: 1
Width: D
When: to see attention by itself, as [tutorials](tutorials.md) begin it. `mixer='attention(heads=1, projections=qkv)'` is
$\mathrm{softmax}(QK^\top / \sqrt D) V$ and no more.
Traps: without the residual connection a token keeps of itself what its own weight lets through.
Source: Vaswani et al. 2017 (arXiv 1706.03762), section 3.2.
"""

import dataclasses
from typing import Any, ClassVar

import jax
from flax import linen as nn

from attention.attend import reads
from attention.encoders._modules import Encoder, dropped, layer_params, placed, prefixed, shared_params, split
from attention.layer import Layer
from attention.records import Call, Context, Dims

__all__: list[str] = []


class Bare(Encoder):
    """What the mixer makes of the embeddings."""

    mixer: Any = None  # set by `attention.models.classifier.classifier`

    uses: ClassVar[tuple[str, ...]] = ("encoding", "mixer")
    causal: ClassVar[bool] = True

    @nn.compact
    def __call__(self, x: jax.Array, context: Context, call: Call, dims: Dims) -> tuple[jax.Array, Call]:
        """Embeddings ``[B T D]`` to states ``[B T D]``."""
        encoding = context.parts.encoding
        if encoding.depth:
            raise ValueError(f"the encoding acts after block {encoding.depth - 1}, and encoder=bare has none")
        dims = dims._replace(num_layers=1, layer=0, reads=reads(context.parts))
        shared = shared_params(self, context.parts, dims)
        outside, params = shared.get("encoding", {}), layer_params(self, context.parts, dims, shared)
        rngs = split(call.rng, 3)
        positioned = placed(encoding, outside, dataclasses.replace(call, rng=rngs[0]), context.window)
        if encoding.embed is not None:
            x = encoding.embed(params.get("encoding", {}), x, context.tokens, positioned)
        x = dropped(x, context, rngs[1])
        inner = context._replace(
            encoding_call=dataclasses.replace(positioned, layer=0),
            record=prefixed(context.record, "layer_0"),
        )
        if self.mixer.init is not None:
            params["mixer"] = self.param("mixer", self.mixer.init, dims)
        layer = Layer(self.mixer, context.parts, dims, context.kernel)
        x = layer.run(params, x, inner, dataclasses.replace(call, rng=rngs[2], layer=0))
        if inner.record is not None:
            inner.record("output", x)
        return x, call


def build() -> Bare:
    """A mixer alone, with the encoding, score, normalizer and mask that it is given.

    With ``mixer='attention(heads=1, projections=qkv)'`` it is ``softmax(QKᵀ/√D) V`` with ``Q, K, V = xW_Q, xW_K, xW_V`` and no
    more; with ``projections=none`` and ``score=dot`` states are compared as they are. The attention of Vaswani et al. 2017
    (arXiv 1706.03762), section 3.2, without the layer around it. Dropout is on the embeddings.
    """
    return Bare()
