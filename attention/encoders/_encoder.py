"""What every encoder is."""

from typing import ClassVar

from flax import linen as nn

from attention.records import Call


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
