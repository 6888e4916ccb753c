"""What every decoder is."""

from typing import Any, ClassVar, NamedTuple

import jax
from flax import linen as nn

from attention import compatibility, specs
from attention.records import Call, Context, Parts


class Source(NamedTuple):
    """What a decoder reads: states ``[B S W]`` of the source, and which of them count, ``[B S]``."""

    states: jax.Array
    valid: jax.Array


def cross_parts(parts: Parts, given: dict[str, str] | None = None) -> Parts:
    """The parts of cross-attention: positions of two texts do not compare, and all of the source may be read.

    Raises:
      ValueError: for score and normalizer that do not go with that; ``given`` are the specs, for the message.
    """
    made = parts._replace(encoding=specs.build("encoding", "none"), mask=specs.build("mask", "full"))
    compatibility.check_parts(made, {**(given or {}), "encoding": "none", "mask": "full (to the source)"})
    return made


class Decoder(nn.Module):
    """How the tokens so far and a source become the states that predict the next token.

    ``dims``, ``parts`` (with a causal mask) and ``width``, of the source's states, are set by ``attention.models.seq2seq``.

    A decoder is called as ``decoder(y, source, context, call)`` with the embeddings ``[B U D]`` of the tokens before each
    place, and returns states ``[B U D]``; no state sees a later embedding. Place by place it is ``begin(source, length)``,
    which makes what is remembered, and ``advance(y, place, source, remembered, context, call)``, which returns the state
    ``[B D]`` of one place and what is remembered after it, given all embeddings up to there; what stands behind has no meaning.

    Facts:
      uses: the kinds it gives a meaning to.
      check(given): raises ValueError for parts that it cannot be made of.
    """

    dims: Any = None
    parts: Any = None
    width: int = 0

    uses: ClassVar[tuple[str, ...]] = ()

    @nn.nowrap
    def check(self, given: dict[str, str]) -> None:
        """Raises ValueError where the decoder cannot be made of its parts, of which ``given`` are the specs."""

    def begin(self, source: Source, length: int) -> Any:
        """What is remembered before the first of ``length`` places; leaves ``[B ...]``."""
        raise NotImplementedError

    def advance(
        self, y: jax.Array, place: jax.Array, source: Source, remembered: Any, context: Context, call: Call
    ) -> tuple[jax.Array, Any]:
        """The state ``[B D]`` of a place, and what is remembered after it."""
        raise NotImplementedError
