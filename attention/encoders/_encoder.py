"""What every encoder is, and what those without attention do first."""

from typing import Any, ClassVar

import jax
from flax import linen as nn

from attention.dropout import dropout
from attention.records import Call, Context, Dims


class Encoder(nn.Module):
    """How embeddings become states.

    An encoder is called as ``encoder(x, context, call, dims)`` with embeddings ``[B T D]`` and returns ``(states, call)``:
    states ``[B T' width(D)]`` and the call for the pooling, whose ``q_valid`` ``[B T']`` says which of them count. Where there
    is a state for each token, that is the call it was given. Padding changes nothing.

    Facts:
      uses: the kinds it gives a meaning to; without "mixer", an encoding may act on the embeddings alone.
      sees_all: whether a token that a pooling puts before the text has a state of its own that has seen all of it.
      needs_segments: whether it reads the segments of the call.
      width(D): channels of a state.
      inner(call, length), inner_length(length): the call of its layers, and how many positions they have, for a text of that
        many tokens.
    """

    uses: ClassVar[tuple[str, ...]] = ("encoding",)
    sees_all: ClassVar[bool] = True
    needs_segments: ClassVar[bool] = False

    @nn.nowrap
    def width(self, model_dim: int) -> int:
        """Channels of a state."""
        return model_dim

    @nn.nowrap
    def inner(self, call: Call, length: int) -> Call:
        """The call of the layers."""
        return call

    @nn.nowrap
    def inner_length(self, length: int) -> int:
        """Positions of the layers for a text of ``length`` tokens."""
        return length


def embedded(module: nn.Module, x: jax.Array, context: Context, call: Call, dims: Dims) -> jax.Array:
    """The embeddings with positions as the encoding has them, for encoders whose encoding acts on nothing else."""
    encoding = context.parts.encoding
    params = (module.param("encoding", encoding.init, dims._replace(layer=None)), {})
    return encoding.embed(params, x, context.tokens, encoding.positions(params, call))


def dropped(x: jax.Array, context: Context, rng: Any) -> jax.Array:
    """``x`` with the dropout of the context."""
    return x if context.dropout is None else dropout(x, context.dropout, rng)
