"""What every model is: a Flax module with an encoder, parts and sizes; and how it is put together from specs."""

import dataclasses
import math
import numbers
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.core import Tracer

from attention import arguments, compatibility, specs
from attention.attend import parts_of
from attention.encoders._modules import Recorder, preceded
from attention.kernels import Ask, chosen
from attention.messages import quoted
from attention.positions import taken
from attention.precision import PRECISIONS, multiplying
from attention.records import Call, Context, Dims, Mixer, Parts

DTYPES = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}
DEFAULTS = {
    "encoder": "transformer",
    "decoder": "transformer",
    "mixer": "attention",
    "encoding": "sinusoidal",
    "score": "scaled_dot",
    "normalizer": "softmax",
    "mask": "full",
    "pooling": "mean",
}


class Model(nn.Module, kw_only=True):
    """What trainer and evaluation ask of a model beside its outputs: it has an encoder, parts, dims and a kernel.

    Attributes:
      matmul_precision: of its products of float32, as ``attention.precision.multiplying`` has it.
      prefix: whether padding stands at the end of every text that it is given, as ``Call.prefix``.
    """

    matmul_precision: str = "highest"
    prefix: bool = False

    @nn.nowrap
    def apply(self, *args: Any, **options: Any) -> Any:
        """As of every Flax module. All that a model computes is traced here, and so is what it multiplies in."""
        with multiplying(self.matmul_precision):
            return super().apply(*args, **options)

    @property
    def stacks(self: Any) -> tuple[Any, ...]:
        """The modules with layers."""
        return (self.encoder,)

    @property
    def extra_tokens(self: Any) -> int:
        """Learned tokens before the text."""
        return 0

    @property
    def longest_text(self: Any) -> int | None:
        """The tokens, padding included, that the parts have positions for; None where there is no limit."""
        limits = _limits(self.encoder, self.parts, self.dims).values()
        return min(limits) - self.extra_tokens if limits else None

    @nn.nowrap
    def kernel_at(self: Any, batch_size: int, length: int) -> str:
        """The kernel that runs for batches ``[batch_size, length]``; "none" where no layer has attention."""
        if not any("mixer" in stack.uses and stack.mixer.attends for stack in self.stacks):
            return "none"
        T = self.encoder.inner_length(length + self.extra_tokens)
        return chosen(self.kernel, Ask(self.parts, (batch_size, self.dims.num_heads, T, T))).spec

    @nn.nowrap
    def embedding_table(self: Any, vectors: jax.Array) -> jax.Array:
        """The table that makes the model see pretrained ``vectors`` ``[V D]`` as they are: the model multiplies by √D."""
        return vectors / math.sqrt(vectors.shape[-1])

    @nn.nowrap
    def call_of(
        self: Any,
        valid: jax.Array,
        *,
        positions: jax.Array | None = None,
        segments: jax.Array | None = None,
        rng: jax.Array | None = None,
        train: bool = False,
    ) -> Call:
        """The call that the model makes of its arguments, its extra tokens among them."""
        if extra := self.extra_tokens:
            valid = preceded(valid, True, extra)
            positions = None if positions is None else preceded(positions + extra, jnp.arange(extra), extra)
            segments = None if segments is None else preceded(segments, segments[..., :1], extra)
        if positions is not None:
            positions = jnp.where(valid, positions, 0)  # the position of padding must not matter
        return Call(
            q_positions=positions,
            k_positions=positions,
            q_valid=valid,
            k_valid=valid,
            q_segments=segments,
            k_segments=segments,
            rng=rng,
            train=train,
            max_length=self.dims.max_length,
            packed=self.parts.mask.packs,
            prefix=self.prefix,
        )


def context_of(
    model: Any, tokens: jax.Array, *, rng: jax.Array | None, train: bool, dropout: Any, record: Recorder | None
) -> Context:
    """The context of a pass. Raises ValueError for dropout in training without a key."""
    if dropout is not None and train and rng is None:
        raise ValueError("dropout in training needs rng")
    rate = dropout if train else None
    return Context(model.parts, {}, tokens=tokens, kernel=model.kernel, dropout=rate, record=record)


class Embedding(nn.Module):
    """Token embeddings, ``√D · table[token]``: with the factor, Adam moves them faster than other weights.

    ``attend`` is the head whose weights are the table.

    Attributes:
      dims: the sizes.
      std: standard deviation of the embeddings at the start.
      frozen: whether the table is kept as it is.
      compute_dtype: of the embeddings; the table is float32.
      scale: whether there is the factor √D; the table starts at ``std`` / √D then, and at ``std`` without it.
    """

    dims: Dims
    std: float
    frozen: bool
    compute_dtype: str
    scale: bool = True

    def setup(self) -> None:
        """Makes the table."""
        V, D = self.dims.vocab_size or 0, self.dims.model_dim
        self.table = self.param("table", nn.initializers.normal(self.std / self._factor), (V, D))

    @property
    def _factor(self) -> float:
        return math.sqrt(self.dims.model_dim) if self.scale else 1.0

    def _kept(self) -> jax.Array:
        return jax.lax.stop_gradient(self.table) if self.frozen else self.table

    def __call__(self, tokens: jax.Array) -> jax.Array:
        """int32 ``[*B T]``, ids in [0, V), to ``[*B T D]``.

        Ids outside are refused where they are concrete. Under jit they have no values yet: those of V and more read the last
        embedding there, and -1, -2, ... count from the end, as in all of JAX. Raises ValueError.
        """
        check_tokens(tokens, self.dims.vocab_size or 0)
        return (taken(self._kept(), tokens) * self._factor).astype(DTYPES[self.compute_dtype])

    def attend(self, states: jax.Array) -> jax.Array:
        """``[*B T D]`` times the table, without the factor: ``[*B T V]``."""
        return states @ self._kept().T


def check_tokens(tokens: jax.Array, vocab_size: int) -> None:
    """Raises ValueError for ids that are no whole numbers, or, where they are concrete, not in the vocabulary."""
    if not jnp.issubdtype(tokens.dtype, jnp.integer):
        raise ValueError(f"tokens want whole numbers, the ids of a tokenizer, got {tokens.dtype}")
    outside = (tokens < 0) | (tokens >= vocab_size)
    if not isinstance(outside, Tracer) and outside.any():
        raise ValueError(f"tokens want ids in [0, {vocab_size}), got {jnp.asarray(tokens)[outside].ravel()[0]}")


def check_texts(tokens: Any, valid: Any, positions: Any, segments: Any) -> None:
    """Raises ValueError for what is said of tokens ``[*B T]`` and is not of their shape, or of a wrong type."""
    types: dict[str, Any] = {"valid": (jnp.bool_, "booleans (False = padding): give valid != 0")}
    types |= dict.fromkeys(("positions", "segments"), (jnp.integer, "whole numbers"))
    optional = {"positions": positions, "segments": segments}
    given: dict[str, Any] = {"valid": valid} | {name: array for name, array in optional.items() if array is not None}
    for name, array in given.items():
        if jnp.shape(array) != jnp.shape(tokens):
            raise ValueError(f"{name} wants the shape of the tokens, {jnp.shape(tokens)}, got {jnp.shape(array)}")
        kind, wanted = types[name]
        if not jnp.issubdtype(array.dtype, kind):
            raise ValueError(f"{name} wants {wanted}, got {array.dtype}")


def _limits(encoder: Any, parts: Parts, dims: Dims) -> dict[str, int]:
    """The positions of the parts that have a table of them."""
    records = {"encoding": parts.encoding, "score": parts.score}
    if "mixer" in encoder.uses:
        records["mixer"] = encoder.mixer
    return compatibility.limits(records, dims.max_length)


def check_length(length: int, encoder: Any, parts: Parts, dims: Dims) -> None:
    """Raises ValueError for a text longer than a part has positions for."""
    for kind, limit in _limits(encoder, parts, dims).items():
        if length > limit:
            raise ValueError(f"the {kind} has {limit} positions, got a sequence of {length}, padding included")


def assembled(
    given: dict[str, str],
    *,
    dim: int,
    vocab_size: int,
    max_length: int,
    kernel: str,
    decoder_uses: tuple[str, ...] = (),
) -> tuple[Any, Mixer, Parts, Dims]:
    """What specs say of a model, whatever reads the states of its encoder.

    Args:
      given: the canonical spec of each kind.
      dim: D.
      vocab_size: V.
      max_length: positions of the longest text, with the tokens that a pooling puts before it.
      kernel: as of ``classifier``.
      decoder_uses: the kinds that a decoder gives a meaning to.

    Returns:
      The encoder with its mixer, the mixer, the parts and the sizes.

    Raises:
      ValueError: for a spec that cannot be built, sizes that do not fit, or parts that do not go together, with the reason.
    """
    parts = parts_of(**{kind: given[kind] for kind in Parts._fields})
    encoder, mixer = specs.build("encoder", given["encoder"]), specs.build("mixer", given["mixer"])
    # What a decoder uses is not ignored, whatever the encoder does with it; positions of the source are the encoder's alone.
    unread = given | {kind: DEFAULTS[kind] for kind in decoder_uses if kind != "encoding"}
    compatibility.check_encoder(encoder, parts, unread, DEFAULTS)
    if "mixer" in encoder.uses:
        compatibility.check_mixer(mixer, parts, given, DEFAULTS)
        encoder = dataclasses.replace(encoder, mixer=mixer)
    N, H = mixer.num_heads, mixer.head_dim or dim // mixer.num_heads
    if "mixer" in (*encoder.uses, *decoder_uses) and mixer.head_dim is None and dim % N:
        raise ValueError(f"mixer={given['mixer']}: dim {dim} is not a multiple of its {N} heads")
    causal = parts.mask.causal
    dims = Dims(N, mixer.kv_heads, H, dim, max_length=max_length, vocab_size=vocab_size, causal=causal)
    encoder.width(dim)  # raises where its parts cannot share the channels
    check_length(max_length, encoder, parts, dims)
    chosen(kernel, Ask(parts, (1, N, 1, 1)))
    return encoder, mixer, parts, dims


def check_numbers(embedding_init: float, compute_dtype: str, matmul_precision: str, **sizes: int) -> None:
    """Raises ValueError for a size that is no whole number from 1 on, and for what no embedding or product can have."""
    for name, size in sizes.items():
        arguments.check_size(name, size, 1)
    if isinstance(embedding_init, bool) or not isinstance(embedding_init, numbers.Real) or not 0 < embedding_init < math.inf:
        raise ValueError(f"embedding_init must be a number > 0, got {quoted(embedding_init)}")
    for name, given, known in (("compute_dtype", compute_dtype, DTYPES), ("matmul_precision", matmul_precision, PRECISIONS)):
        if not isinstance(given, str) or given not in known:
            hint = specs.nearest(getattr(given, "__name__", str(given)), known)
            raise ValueError(f"{name} must be one of {', '.join(known)}{hint}, got {quoted(given)}")


def check_switches(**switches: bool) -> None:
    """Raises ValueError for what is neither True nor False."""
    for name, switch in switches.items():
        if not isinstance(switch, bool):
            raise ValueError(f"{name} must be True or False, got {quoted(switch)}")
