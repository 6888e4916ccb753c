"""The embeddings themselves: nothing moves between positions, so pooling sees a (positioned) bag of words.

```math
h_t = x_t
```

Parameters: none
Steps: 1
Width: D
When: the baseline: with `pooling=mean` and `encoding=none` a bag of words, which on short texts is hard to beat.
Traps: nothing moves between positions, so `pooling=cls` would see nothing and is refused.
Source: Iyyer et al. 2015 (deep averaging networks, ACL).
"""

from typing import ClassVar

import jax
from flax import linen as nn

from attention.encoders._modules import Encoder, dropped, embedded
from attention.records import Call, Context, Dims

__all__: list[str] = []


class Embeddings(Encoder):
    """Positions are added to the embeddings, and that is all."""

    causal: ClassVar[bool] = True
    sees_all: ClassVar[bool] = False

    @nn.compact
    def __call__(self, x: jax.Array, context: Context, call: Call, dims: Dims) -> tuple[jax.Array, Call]:
        """Embeddings ``[B T D]`` to states ``[B T D]``."""
        return dropped(embedded(self, x, context, call, dims), context, call.rng), call


def build() -> Embeddings:
    """No mixing. Iyyer et al. 2015 (deep averaging networks, ACL) with ``pooling=mean``."""
    return Embeddings()
