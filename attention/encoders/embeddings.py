"""The embeddings themselves: nothing moves between positions, so pooling sees a (positioned) bag of words."""

import jax
from flax import linen as nn

from attention.dropout import dropout
from attention.records import Call, Context, Dims

__all__: list[str] = []


class Embeddings(nn.Module):
    """Positions are added to the embeddings, and that is all."""

    uses = ("encoding",)
    mixes = False

    @nn.compact
    def __call__(self, x: jax.Array, context: Context, call: Call, dims: Dims) -> jax.Array:
        """Embeddings ``[B T D]`` to states ``[B T D]``."""
        encoding = context.parts.encoding
        params = (self.param("encoding", encoding.init, dims._replace(layer=None)), {})
        x = encoding.embed(params, x, context.tokens, encoding.positions(params, call))
        return x if context.dropout is None else dropout(x, context.dropout, call.rng)


def build() -> Embeddings:
    """No mixing. Iyyer et al. 2015 (deep averaging networks, ACL) with ``pooling=mean``."""
    return Embeddings()
