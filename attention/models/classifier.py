"""The text classifier: embeddings, an encoder, a pooling and a linear layer, every part named by a spec."""

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from attention import compatibility, specs
from attention.attend import parts_of
from attention.kernels import Ask, chosen
from attention.modules import Recorder, dropped, preceded, split
from attention.records import Call, Context, Dims, Gate, Mixer, Parts, Pooling

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


class TextClassifier(nn.Module):
    """Tokens to logits. Make one with ``classifier``, which checks that the parts go together.

    Attributes:
      encoder: an ``attention.encoders._encoder.Encoder``.
      parts: encoding, score, normalizer and mask.
      pooling: how states become one vector.
      dims: the sizes.
      num_classes: C.
      kernel: "auto", "dense" or "chunked".
      compute_dtype: "float32" or "bfloat16"; parameters are float32 always, and so are weights of attention and logits.
      embedding_init: standard deviation of the embeddings at the start.
      frozen_embeddings: whether the embedding table is kept as it is.
      head_gate: the gate on the pooled vector before the linear layer.
      head_softmax: whether a softmax over its channels follows.
      head_hidden: units of a relu layer before the linear one; 0 for none.
    """

    encoder: Any
    parts: Parts
    pooling: Pooling
    dims: Dims
    num_classes: int
    kernel: str = "auto"
    compute_dtype: str = "float32"
    embedding_init: float = 1.0
    frozen_embeddings: bool = False
    head_gate: Gate = Gate()
    head_softmax: bool = False
    head_hidden: int = 0

    @nn.compact
    def __call__(
        self,
        tokens: jax.Array,
        valid: jax.Array,
        *,
        positions: jax.Array | None = None,
        segments: jax.Array | None = None,
        rng: jax.Array | None = None,
        train: bool = False,
        dropout: Any = None,
        capture: bool = False,
    ) -> tuple[jax.Array, dict[str, Any]]:
        """Classifies token ids.

        Args:
          tokens: int32 ``[B T]``.
          valid: bool ``[B T]``, False at padding, which changes nothing.
          positions: int32 ``[B T]``; None for 0, 1, ... from the first token (or the extra tokens of the pooling) on.
          segments: int32 ``[B T]``, the segment of each token, for masks and encoders that read it; None for one segment.
            The extra tokens of the pooling are in that of the first token.
          rng: key of whatever is random; needed in training with dropout.
          train: whether this is a training step.
          dropout: rate, a number or a traced scalar; None leaves dropout out of the program.
          capture: whether to return intermediate results, attention weights among them.

        Returns:
          logits float32 ``[B C]``, and a dict: "loss" ``[B]``, a penalty to add to the loss of each example; with ``capture``
          also "embeddings", "layer_0/weights" ``[B N T S]``, "layer_0/output", ..., "states", "pooling" (weights over
          positions, ``[B T]`` or ``[B R T]``) and "pooled".
        """
        captured: dict[str, Any] = {}
        rng_encoder, rng_head = split(rng, 2)
        embedding = Embedding(self.dims, self.embedding_init, self.frozen_embeddings, self.compute_dtype, name="embedding")
        x = embedding(tokens)
        if E := self.extra_tokens:
            extra = self.param("extra_tokens", nn.initializers.normal(1.0), (E, x.shape[-1]))
            x, tokens = preceded(x, extra, E, axis=-2), preceded(tokens, 0, E)  # token id 0 stands for them
        call = call_of(self, valid, positions=positions, segments=segments, rng=rng_encoder, train=train)
        check_length(x.shape[-2], self.encoder, self.parts, self.dims)
        record = captured.__setitem__ if capture else None
        context = context_of(self, tokens, rng=rng, train=train, dropout=dropout, record=record)
        states, call = self.encoder(x, context, call, self.dims)
        dims = self.dims._replace(model_dim=self.encoder.width(self.dims.model_dim))
        init = self.pooling.init
        pooled = self.pooling.apply({} if init is None else self.param("pooling", init, dims), states, call)
        gate, vector = self.head_gate, pooled.x
        if gate.apply is not None:
            weights = {} if gate.init is None else self.param("head_gate", gate.init, vector.shape[-1])
            vector = gate.apply(weights, vector)
        vector = jax.nn.softmax(vector.astype(jnp.float32)) if self.head_softmax else vector
        vector = dropped(vector, context, rng_head).astype(jnp.float32)
        vector = nn.relu(nn.Dense(self.head_hidden, name="head_hidden")(vector)) if self.head_hidden else vector
        logits = nn.Dense(self.num_classes, name="head")(vector)
        if capture:
            captured |= {"embeddings": x, "states": states, "pooling": pooled.weights, "pooled": pooled.x}
        loss = jnp.broadcast_to(jnp.asarray(pooled.loss, jnp.float32), logits.shape[:-1])
        return logits, {"loss": loss, **captured}

    @property
    def stacks(self) -> tuple[Any, ...]:
        """The modules with layers."""
        return (self.encoder,)

    @property
    def extra_tokens(self) -> int:
        """Learned tokens before the text."""
        return self.pooling.extra_tokens

    @nn.nowrap
    def example(self) -> dict[str, Any]:
        """The smallest arguments, for ``init``."""
        tokens = jnp.ones((1, 8), jnp.int32)
        return {"tokens": tokens, "valid": tokens > 0, "segments": 0 * tokens}


def call_of(
    model: Any,
    valid: jax.Array,
    *,
    positions: jax.Array | None = None,
    segments: jax.Array | None = None,
    rng: jax.Array | None = None,
    train: bool = False,
) -> Call:
    """The call that a model makes of its arguments, its extra tokens among them."""
    if extra := model.extra_tokens:
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
        max_length=model.dims.max_length,
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

    Attributes:
      dims: the sizes.
      std: standard deviation of the embeddings at the start.
      frozen: whether the table is kept as it is.
      compute_dtype: of the embeddings; the table is float32.
    """

    dims: Dims
    std: float
    frozen: bool
    compute_dtype: str

    @nn.compact
    def __call__(self, tokens: jax.Array) -> jax.Array:
        """int32 ``[*B T]`` to ``[*B T D]``."""
        V, D = self.dims.vocab_size or 0, self.dims.model_dim
        table = self.param("table", nn.initializers.normal(self.std / math.sqrt(D)), (V, D))
        table = jax.lax.stop_gradient(table) if self.frozen else table
        return (table[tokens] * math.sqrt(D)).astype(DTYPES[self.compute_dtype])


def embedding_table(vectors: jax.Array) -> jax.Array:
    """The table that makes the model see pretrained ``vectors`` ``[V D]`` as they are: the model multiplies by √D."""
    return vectors / math.sqrt(vectors.shape[-1])


def _limits(encoder: Any, parts: Parts, dims: Dims) -> dict[str, int]:
    """The positions of the parts that have a table of them."""
    found = {}
    records = {"encoding": parts.encoding, "score": parts.score}
    if "mixer" in encoder.uses:
        records["mixer"] = encoder.mixer
    for kind, record in records.items():
        given = record.max_length if isinstance(record.max_length, tuple) else (record.max_length,)
        limits = [dims.max_length if limit == "dims" else limit for limit in given]
        known = [limit for limit in limits if limit is not None]
        if known:
            found[kind] = min(known)
    return found


def check_length(length: int, encoder: Any, parts: Parts, dims: Dims) -> None:
    """Raises ValueError for a text longer than a part has positions for."""
    for kind, limit in _limits(encoder, parts, dims).items():
        if length > limit:
            raise ValueError(f"the {kind} has {limit} positions, got a sequence of {length}, padding included")


def longest_text(model: Any) -> int | None:
    """The tokens, padding included, that the parts have positions for; None where there is no limit."""
    limits = _limits(model.encoder, model.parts, model.dims).values()
    return min(limits) - model.extra_tokens if limits else None


def classifier(
    *,
    encoder: str = DEFAULTS["encoder"],
    mixer: str = DEFAULTS["mixer"],
    encoding: str = DEFAULTS["encoding"],
    score: str = DEFAULTS["score"],
    normalizer: str = DEFAULTS["normalizer"],
    mask: str = DEFAULTS["mask"],
    pooling: str = DEFAULTS["pooling"],
    dim: int = 64,
    kernel: str = "auto",
    compute_dtype: str = "float32",
    embedding_init: float = 1.0,
    frozen_embeddings: bool = False,
    head_gate: str = "none",
    head_softmax: bool = False,
    head_hidden: int = 0,
    vocab_size: int,
    num_classes: int,
    max_length: int,
) -> TextClassifier:
    """The classifier that specs describe.

    Args:
      encoder: how embeddings become states.
      mixer: how the encoder's layers move information between positions.
      encoding: how positions enter.
      score: how a query and a key are compared.
      normalizer: how scores become weights.
      mask: who may attend to whom.
      pooling: how states become one vector.
      dim: D, width of the model.
      kernel: "auto", "dense" or "chunked".
      compute_dtype: "float32" or "bfloat16".
      embedding_init: standard deviation of the embeddings at the start, > 0; small data want less than 1.
      frozen_embeddings: whether the embedding table is kept as it is.
      head_gate: gate on the pooled vector, which the linear layer reads.
      head_softmax: whether what the gate lets through is turned into shares by a softmax over its channels; a slip of
        tutorials, kept so that one can see what it does.
      head_hidden: units of a layer with relu before the linear one; 0 for none.
      vocab_size: V, number of token ids.
      num_classes: C.
      max_length: the longest text, in tokens.

    Returns:
      A Flax module: ``model.init(rng, tokens, valid)["params"]``, ``model.apply({"params": params}, tokens, valid)``.

    Raises:
      ValueError: for a spec that cannot be built, sizes that do not fit, or parts that do not go together, with the reason.
    """
    given = {"encoder": encoder, "mixer": mixer, "encoding": encoding, "score": score}
    given |= {"normalizer": normalizer, "mask": mask, "pooling": pooling}
    given = {kind: specs.canonical(kind, spec) for kind, spec in given.items()}
    built_pooling = specs.build("pooling", given["pooling"])
    check_numbers(embedding_init, compute_dtype, dim=dim, vocab_size=vocab_size, num_classes=num_classes, max_length=max_length)
    if head_hidden < 0:
        raise ValueError(f"head_hidden must be >= 0, got {head_hidden}")
    positions = max_length + built_pooling.extra_tokens
    built_encoder, _, parts, dims = assembled(given, dim=dim, vocab_size=vocab_size, max_length=positions, kernel=kernel)
    compatibility.check_pooling(built_encoder, built_pooling, given)
    return TextClassifier(
        built_encoder,
        parts,
        built_pooling,
        dims,
        num_classes,
        kernel,
        compute_dtype,
        embedding_init,
        frozen_embeddings,
        specs.build("gate", head_gate),
        head_softmax,
        head_hidden,
    )


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


def check_numbers(embedding_init: float, compute_dtype: str, **sizes: int) -> None:
    """Raises ValueError for a size below 1, and for what no embedding or product can have."""
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"{name} must be >= 1, got {size}")
    if not embedding_init > 0:
        raise ValueError(f"embedding_init must be > 0, got {embedding_init}")
    if compute_dtype not in DTYPES:
        hint = specs.nearest(compute_dtype, DTYPES)
        raise ValueError(f"compute_dtype must be one of {', '.join(DTYPES)}{hint}, got {compute_dtype!r}")


def kernel_choice(model: Any, batch_size: int, length: int) -> str:
    """The kernel that runs for batches ``[batch_size, length]``; "none" where no layer has attention."""
    if not any("mixer" in stack.uses and stack.mixer.attends for stack in model.stacks):
        return "none"
    parts, T = model.parts, model.encoder.inner_length(length + model.extra_tokens)
    return chosen(model.kernel, Ask(parts, (batch_size, model.dims.num_heads, T, T))).spec
