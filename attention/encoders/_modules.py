"""What Flax modules share: parameters of the parts, embeddings, norms and MLPs, keys, dropout, names in records."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Literal

import jax
import jax.numpy as jnp
from flax import linen as nn

from attention.broadcast import by_token
from attention.dropout import dropout
from attention.positions import counted
from attention.records import Call, Context, Dims, Encoding, Params, Parts, merged

KINDS = ("encoding", "score", "normalizer")  # of the parts, those that may have parameters
Recorder = Callable[[str, Any], None]
Activation = Literal["gelu", "relu", "swiglu"]
NormType = Literal["layer", "rms"]
NORMS = {"layer": nn.LayerNorm, "rms": nn.RMSNorm}


def shared_params(
    module: nn.Module, parts: Parts, dims: Dims, *, kinds: Sequence[str] = KINDS, prefix: str = ""
) -> dict[str, Params]:
    """The parameters of the parts that all layers share, made in a module: "encoding", for those that have any."""
    hooks = {kind: getattr(getattr(parts, kind), "shared", None) for kind in kinds}
    return {kind: module.param(f"{prefix}{kind}", hook, dims) for kind, hook in hooks.items() if hook is not None}


def layer_params(
    module: nn.Module,
    parts: Parts,
    dims: Dims,
    shared: Mapping[str, Params],
    *,
    kinds: Sequence[str] = KINDS,
    prefix: str = "",
) -> dict[str, Params]:
    """The parameters of the parts for layer ``dims.layer``: what is ``shared``, and its own, "score_0" and the like.

    Parts without parameters have no entry.
    """
    made = dict(shared)
    for kind in kinds:
        init = getattr(parts, kind).init
        if init is not None and jax.tree.leaves(jax.eval_shape(lambda rng, init=init: init(rng, dims), jax.random.key(0))):
            made[kind] = merged(shared.get(kind, {}), module.param(f"{prefix}{kind}_{dims.layer}", init, dims))
    return made


def placed(encoding: Encoding, params: Params, call: Call, window: int | None = None) -> Call:
    """The call with the positions that the encoding makes.

    With a ``window``, one that makes them anew does so for that many tokens, or for all places of a row that has more, and each
    token takes what is made for its own: how many there are changes nothing.
    """
    if encoding.positions is None:
        return call
    if window is None or not encoding.redraws:
        return encoding.positions(params, call)
    assert call.q_valid is not None  # a text's validity is given
    *batch, T = call.q_valid.shape
    shape = (*batch, max(window, T))
    all_places, everywhere = jnp.broadcast_to(jnp.arange(shape[-1]), shape), jnp.ones(shape, jnp.bool_)
    sides = {"q_positions": all_places, "k_positions": all_places, "q_valid": everywhere, "k_valid": everywhere}
    made = encoding.positions(params, dataclasses.replace(call, **sides, packed=False))  # of one row, which all documents share
    own = jnp.broadcast_to(counted(call.q_positions, T), (*batch, T))
    take = lambda leaf: jnp.take_along_axis(leaf, own, axis=-1, mode="fill")
    of_tokens = lambda tree: jax.tree.map(take, tree)
    return dataclasses.replace(call, q_positions=of_tokens(made.q_positions), k_positions=of_tokens(made.k_positions))


def embedded(module: nn.Module, x: jax.Array, context: Context, call: Call, dims: Dims) -> jax.Array:
    """The embeddings ``[B T D]`` with what the encoding does to them, for encoders whose encoding acts on nothing else."""
    encoding = context.parts.encoding
    if encoding.embed is None:
        return x
    params = shared_params(module, context.parts, dims, kinds=("encoding",)).get("encoding", {})
    return encoding.embed(params, x, context.tokens, placed(encoding, params, call, context.window))


def split(rng: jax.Array | None, count: int) -> list[Any]:
    """``count`` keys, or None for each where there is no key."""
    return [None] * count if rng is None else list(jax.random.split(rng, count))


def dropped(x: jax.Array, context: Context, rng: Any) -> jax.Array:
    """``x`` with the dropout of the context."""
    return x if context.dropout is None else dropout(x, context.dropout, rng)


def prefixed(record: Recorder | None, prefix: str) -> Recorder | None:
    """``record`` under names that begin with ``prefix/``."""
    return None if record is None else lambda name, value: record(f"{prefix}/{name}", value)


def preceded(x: jax.Array, extra: Any, count: int, axis: int = -1) -> jax.Array:
    """``x`` with ``count`` more entries before it along an axis: ``[*B T]`` to ``[*B count+T]``; ``extra`` is broadcast."""
    shape = list(x.shape)
    shape[axis] = count
    return jnp.concatenate([jnp.broadcast_to(jnp.asarray(extra, x.dtype), shape), x], axis=axis)


def with_registers(call: Call, count: int, length: int) -> Call:
    """The call of ``count`` registers before a text of ``length`` tokens.

    Registers are valid, in the segment of the first token, and all at position 0, so that the text keeps its positions and no
    table of positions needs another row.
    """
    if not count:
        return call

    def of_positions(tree: Any) -> Any:
        one = lambda leaf: preceded(jnp.arange(length) if leaf is None else leaf, 0, count)
        return jax.tree.map(one, tree, is_leaf=lambda leaf: leaf is None)

    of_valid = lambda valid: preceded(jnp.ones(length, bool) if valid is None else valid, True, count)
    of_segments = lambda segments: None if segments is None else preceded(segments, segments[..., :1], count)
    return dataclasses.replace(
        call,
        q_positions=of_positions(call.q_positions),
        k_positions=of_positions(call.k_positions),
        q_valid=of_valid(call.q_valid),
        k_valid=of_valid(call.k_valid),
        q_segments=of_segments(call.q_segments),
        k_segments=of_segments(call.k_segments),
        consecutive=False,
    )


def put(place: Any, room: jax.Array, new: jax.Array) -> jax.Array:
    """``room`` ``[B L ...]`` with ``new`` ``[B t ...]`` from a place on."""
    return jax.lax.dynamic_update_slice_in_dim(room, new.astype(room.dtype), place, 1)


def normed(x: jax.Array, name: str, norm_type: NormType, bias: bool) -> jax.Array:
    """``x`` after a norm, which is made in the module that is running."""
    options = {} if norm_type == "rms" else {"use_bias": bias}
    return by_token(NORMS[norm_type](dtype=x.dtype, name=name, **options), x)


class MLP(nn.Module):
    """``W₂ φ(W₁ x)`` for gelu and relu, ``W₂ (silu(W₁ x) ⊙ W₃ x)`` for swiglu (Shazeer 2020, arXiv 2002.05202).

    ``scale`` multiplies W₂ at the start; with ``std`` all are N(0, std²) before that.
    """

    width: int
    activation: Activation
    scale: float = 1.0
    bias: bool = True
    std: float | None = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """``[B T D]`` to ``[B T D]``."""
        return by_token(self._of_tokens, x)

    @nn.nowrap
    def _of_tokens(self, x: jax.Array) -> jax.Array:
        start = nn.initializers.lecun_normal() if self.std is None else nn.initializers.normal(self.std)
        scaled = lambda *args: self.scale * start(*args)
        options: dict[str, Any] = {"use_bias": self.bias, "dtype": x.dtype}
        dense = lambda features, name: nn.Dense(features, kernel_init=start, name=name, **options)
        h = dense(self.width, "in")(x)
        if self.activation == "swiglu":
            h = nn.silu(h) * dense(self.width, "gate")(x)
        else:
            h = nn.gelu(h) if self.activation == "gelu" else nn.relu(h)
        return nn.Dense(x.shape[-1], kernel_init=scaled, name="out", **options)(h)


class Encoder(nn.Module):
    """How embeddings become states.

    An encoder is called as ``encoder(x, context, call, dims)`` with embeddings ``[B T D]`` and returns ``(states, call)``:
    states ``[B T' width(D)]`` and the call for the pooling, whose ``q_valid`` ``[B T']`` says which of them count. Where there
    is a state for each token, that is the call it was given. Padding changes nothing.

    Facts:
      uses: the kinds it gives a meaning to; without "mixer", an encoding may act on the embeddings alone.
      by_token: whether there is a state for each token.
      causal: whether no state sees a later token than its own where the mask of its mixer, if it has one, is causal.
      sees_all: whether a token that a pooling puts before the text has a state of its own that has seen all of it.
      needs_segments: whether it reads the segments of the call.
      whole_row: why it wants a row to itself; "" where a packed document is what it is alone.
      width(D): channels of a state.
      inner(call, length), inner_length(length): the call of its layers, and how many positions they have, for a text of that
        many tokens.
    """

    uses: ClassVar[tuple[str, ...]] = ("encoding",)
    by_token: ClassVar[bool] = True
    causal: ClassVar[bool] = False
    sees_all: ClassVar[bool] = True
    needs_segments: ClassVar[bool] = False

    @property
    def whole_row(self) -> str:
        """The fact."""
        return ""

    @nn.nowrap
    def width(self, model_dim: int) -> int:
        """Channels of a state."""
        return model_dim

    @nn.nowrap
    def remembers(self, parts: Parts) -> bool:
        """Whether it can read a text in pieces, by ``begin`` and ``advance``: those of ``encoders/transformer.py``."""
        return False

    @nn.nowrap
    def inner(self, call: Call, length: int) -> Call:
        """The call of the layers."""
        return call

    @nn.nowrap
    def inner_length(self, length: int) -> int:
        """Positions of the layers for a text of ``length`` tokens."""
        return length
