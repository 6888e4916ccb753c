"""What stands around attention: mixers, poolings and gates."""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax

from attention.records.call import Call, Dims, Params
from attention.records.parts import Parts
from attention.specs import by_spec


class Context(NamedTuple):
    """What an encoder and its mixers are told beside their input.

    Attributes:
      parts: the records of the other kinds.
      params: of "encoding", "score" and "normalizer", for the layer that is running; parts without any are not there.
      encoding_call: the call as the encoding's ``positions`` left it; masks see the positions as they came.
      tokens: ``[*B T]`` token ids.
      kernel: the kernel asked for: "auto" or a file of ``attention/kernels``.
      dropout: rate on the weights and on what a block adds, a float or a traced scalar; None where there is none.
      window: how many tokens positions are made for, where it is not known how many there will be; None for those there are.
      memory: ``[*B S D]`` keys and values of cross-attention, whose positions, padding and segments are the keys' of the call;
        None for self-attention.
      record: called with a name and a value to keep an intermediate result; None keeps nothing.
      remembered: keys and values as the mixer's ``remember`` made them before, in place of those of ``memory`` or of the input.
      where: bool ``[*#B #N #T #S]`` of the caller, True = may attend, in addition to the mask; for mixers that attend.
      bias: float ``[*#B #N #T #S]`` of the caller, added to the scores.
    """

    parts: Parts
    params: dict[str, Params]
    encoding_call: Call | None = None
    tokens: Any = None
    kernel: str = "auto"
    dropout: Any = None
    window: int | None = None
    memory: jax.Array | None = None
    record: Callable[[str, Any], None] | None = None
    remembered: Any = None
    where: jax.Array | None = None
    bias: jax.Array | None = None


class Mixer(NamedTuple):
    """How a layer moves information between positions.

    Hooks:
      init(rng, dims) -> params of one layer (the parts' own parameters are in the context).
      apply(params, x, context, call) -> x: ``[*B T D]``; padding changes nothing at valid positions, and what is at padded
        ones has no meaning.
      refuses(parts) -> (kind, reason) of a part that does not go with the mixer's options, or None.
      remember(params, x) -> what ``apply`` reads of ``[*B S D]`` beside its queries, for ``Context.remembered``: leaves
        ``[*B S ...]``, each of whose rows is made of one row of ``x``.
    Facts:
      num_heads, kv_heads: heads of queries and of keys and values.
      head_dim: None for model_dim / num_heads.
      uses: the parts the mixer gives a meaning to; the others must stay at their defaults. "rotation" in place of "encoding"
        where an encoding may rotate queries and keys and do nothing else to them.
      masks: specs of the masks that a mixer without "mask" has forms for, beside the default; each also where documents are
        kept apart.
      max_length: positions the mixer has weights for; None where unlimited, "dims" where it is ``Dims.max_length``.
      ahead: why, under a causal mask too, what it makes of a token depends on how many there are; "" where it does not.
      attends: whether it goes through ``attention.attend``, so that there is a kernel to choose and weights to drop.
      whole_row: why it wants a row to itself; "" where a packed document is what it is alone.
    """

    apply: Callable[[Params, jax.Array, Context, Call], jax.Array]
    init: Callable[[jax.Array, Dims], Params] | None = None
    num_heads: int = 1
    kv_heads: int = 1
    head_dim: int | None = None
    uses: tuple[str, ...] = ("encoding", "score", "normalizer", "mask")
    masks: tuple[str, ...] = ()
    max_length: int | Literal["dims"] | None = None
    ahead: str = ""
    attends: bool = True
    whole_row: str = ""
    refuses: Callable[[Parts], tuple[str, str] | None] | None = None
    remember: Callable[[Params, jax.Array], Any] | None = None
    spec: str = ""

    kind = "mixer"

    def __reduce__(self) -> Any:
        return by_spec(self)


class Pooled(NamedTuple):
    """What a pooling returns.

    Attributes:
      x: the vector ``[*B P]``.
      weights: over positions, float32 ``[*B T]``, or ``[*B R T]`` with R rows or heads; None where there are none to speak of.
      loss: a penalty of each example to add to its loss, ``[*B]`` or one number for all.
    """

    x: jax.Array
    weights: jax.Array | None = None
    loss: Any = 0.0


class Pooling(NamedTuple):
    """How a sequence becomes one vector.

    Hooks:
      init(rng, dims) -> params
      apply(params, x, call) -> Pooled: ``[*B T D]`` to ``[*B width]``; padding (``call.q_valid``) changes nothing and an
        empty sequence gives zeros.
    Facts:
      width(D): size of the vector.
      extra_tokens: learned tokens put before the text.
    """

    apply: Callable[[Params, jax.Array, Call], Pooled]
    init: Callable[[jax.Array, Dims], Params] | None = None
    width: Callable[[int], int] = lambda model_dim: model_dim
    extra_tokens: int = 0
    spec: str = ""

    kind = "pooling"

    def __reduce__(self) -> Any:
        return by_spec(self)


class Gate(NamedTuple):
    """How much of each feature passes.

    Hooks:
      init(rng, D) -> params
      apply(params, x) -> x: acts on ``[*B D]``. Without it, everything passes.
    """

    init: Callable[[jax.Array, int], Params] | None = None
    apply: Callable[[Params, jax.Array], jax.Array] | None = None
    spec: str = ""

    kind = "gate"

    def __reduce__(self) -> Any:
        return by_spec(self)
