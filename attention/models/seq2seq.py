"""Encoder and decoder: a text is read, and another is written from its states, every part named by a spec."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from attention import compatibility, decoding, specs
from attention.decoders._decoder import Decoder, Source
from attention.encoders._modules import Recorder, prefixed, split
from attention.models._model import (
    DEFAULTS,
    Embedding,
    Model,
    assembled,
    check_length,
    check_numbers,
    check_switches,
    check_texts,
    context_of,
)
from attention.records import Call, Context, Dims, Parts


class Seq2Seq(Model):
    """Tokens to the tokens of another text. Make one with ``seq2seq``, which checks that the parts go together.

    Source and target share one vocabulary and its embeddings; its last id ends a target, and 0 stands before its first token.

    Attributes:
      encoder: an ``attention.encoders._modules.Encoder``.
      decoder: an ``attention.decoders._decoder.Decoder``.
      parts: encoding, score, normalizer and mask of the encoder; the decoder's mask is causal in addition.
      dims: the sizes.
      kernel: "auto", "dense", "chunked" or "cudnn".
      compute_dtype: "float32" or "bfloat16"; parameters are float32 always, and so are weights of attention and logits.
      embedding_init: standard deviation of the embeddings at the start.
      frozen_embeddings: whether the embedding table is kept as it is.
    """

    encoder: Any
    decoder: Decoder
    parts: Parts
    dims: Dims
    kernel: str = "auto"
    compute_dtype: str = "float32"
    embedding_init: float = 1.0
    frozen_embeddings: bool = False

    @property
    def stacks(self) -> tuple[Any, ...]:
        """The modules with layers."""
        return self.encoder, self.decoder

    @property
    def end(self) -> int:
        """The id that ends a target."""
        return (self.dims.vocab_size or 0) - 1

    def setup(self) -> None:
        """Makes what encoder and decoder share."""
        self.embedding = Embedding(self.dims, self.embedding_init, self.frozen_embeddings, self.compute_dtype)
        self.head = nn.Dense(self.dims.vocab_size or 0)

    def __call__(
        self,
        tokens: jax.Array,
        valid: jax.Array,
        *,
        targets: jax.Array,
        positions: jax.Array | None = None,
        segments: jax.Array | None = None,
        rng: jax.Array | None = None,
        train: bool = False,
        dropout: Any = None,
        capture: bool = False,
    ) -> tuple[jax.Array, dict[str, Any]]:
        """What the model says of each token of a target, given those before it (teacher forcing).

        Args:
          tokens: int32 ``[B S]``, the source; ids as of ``TextClassifier``.
          valid: bool ``[B S]``, False at padding, which changes nothing.
          targets: int32 ``[B U]``, each ended by ``end``, 0 after it.
          positions: int32 ``[B S]``; None for 0, 1, ...
          segments: int32 ``[B S]``, for masks and encoders that read them.
          rng: key of whatever is random; needed in training with dropout.
          train: whether this is a training step.
          dropout: rate, a number or a traced scalar; None leaves dropout out of the program.
          capture: whether to return intermediate results, attention weights among them.

        Returns:
          logits float32 ``[B U V]``, and a dict: "loss" ``[B]``, zeros; with ``capture`` also "encoder/layer_0/weights"
          ``[B N S S]``, "decoder/layer_0/self/weights" ``[B N U U]``, "decoder/layer_0/cross/weights" ``[B N U S]``, ..., and
          "source" ``[B S' W]``.
        """
        rngs = split(rng, 2)
        captured: dict[str, Any] = {}
        options: dict[str, Any] = {"train": train, "dropout": dropout, "record": captured.__setitem__ if capture else None}
        source = self.encode(tokens, valid, positions=positions, segments=segments, rng=rngs[0], **options)
        before = decoding.shifted(targets)
        context, call = self._target(before, rng=rngs[1], **options)
        logits = self._logits(self.decoder(self.embedding(before), source, context, call))
        if capture:
            captured["source"] = source.states
        return logits, {"loss": jnp.zeros(logits.shape[:-2], jnp.float32), **captured}

    def encode(
        self,
        tokens: jax.Array,
        valid: jax.Array,
        *,
        positions: jax.Array | None = None,
        segments: jax.Array | None = None,
        rng: jax.Array | None = None,
        train: bool = False,
        dropout: Any = None,
        record: Recorder | None = None,
    ) -> Source:
        """What the decoder reads of a source; arguments as of the model."""
        check_texts(tokens, valid, positions, segments)
        check_length(tokens.shape[-1], self.encoder, self.parts, self.dims)
        call = self.call_of(valid, positions=positions, segments=segments, rng=rng, train=train)
        record = prefixed(record, "encoder")
        context = context_of(self, tokens, rng=rng, train=train, dropout=dropout, record=record)
        states, call = self.encoder(self.embedding(tokens), context, call, self.dims)
        assert call.q_valid is not None  # a text's validity is given
        return Source(states, call.q_valid)

    def begin(self, source: Source, length: int) -> Any:
        """What is remembered before the first of ``length`` tokens is written."""
        return source, self.decoder.begin(source, length)

    def advance(self, tokens: jax.Array, place: jax.Array, remembered: Any, rng: Any = None) -> tuple[jax.Array, Any]:
        """The logits ``[B V]`` of the token at a place, given those before it: what ``attention.decoding`` asks of a model."""
        source, rest = remembered
        context, call = self._target(tokens, rng=rng, train=False, dropout=None, record=None)
        state, rest = self.decoder.advance(self.embedding(tokens), place, source, rest, context, call)
        return self._logits(state), (source, rest)

    def _logits(self, states: jax.Array) -> jax.Array:
        return self.head(states.astype(jnp.float32))

    def _target(
        self, tokens: jax.Array, *, rng: Any, train: bool, dropout: Any, record: Recorder | None
    ) -> tuple[Context, Call]:
        """Context and call of the decoder. All places count: what is behind a text cannot be seen from within it."""
        check_length(tokens.shape[-1], self.encoder, self.parts, self.dims)
        valid = jnp.ones(tokens.shape, jnp.bool_)
        call = Call(q_valid=valid, k_valid=valid, rng=rng, train=train, max_length=self.dims.max_length)
        record = prefixed(record, "decoder")
        return context_of(self, tokens, rng=rng, train=train, dropout=dropout, record=record), call

    @nn.nowrap
    def example(self) -> dict[str, Any]:
        """The smallest arguments, for ``init``."""
        tokens = jnp.ones((1, 8), jnp.int32)
        return {"tokens": tokens, "valid": tokens > 0, "segments": 0 * tokens, "targets": tokens}


def seq2seq(
    *,
    encoder: str = DEFAULTS["encoder"],
    decoder: str = DEFAULTS["decoder"],
    mixer: str = DEFAULTS["mixer"],
    encoding: str = DEFAULTS["encoding"],
    score: str = DEFAULTS["score"],
    normalizer: str = DEFAULTS["normalizer"],
    mask: str = DEFAULTS["mask"],
    dim: int = 64,
    kernel: str = "auto",
    compute_dtype: str = "float32",
    matmul_precision: str = "highest",
    embedding_init: float = 1.0,
    frozen_embeddings: bool = False,
    vocab_size: int,
    max_length: int,
) -> Seq2Seq:
    """The encoder-decoder that specs describe.

    Args:
      encoder: how embeddings become states.
      decoder: how the states become another text.
      mixer: how the layers of a transformer, encoder or decoder, move information between positions.
      encoding: how positions enter, in the source and in the target; positions of two texts are not compared.
      score: how a query and a key are compared.
      normalizer: how scores become weights.
      mask: who may attend to whom in the source; in the target, which is one segment, ``causal`` in addition.
      dim: D, width of the model.
      kernel: "auto", "dense", "chunked" or "cudnn".
      compute_dtype: "float32" or "bfloat16".
      matmul_precision: of products of float32, which a GPU or TPU rounds their factors for: "highest" (not at all), "high" or
        "default" (what JAX does by itself). A CPU does not round.
      embedding_init: standard deviation of the embeddings at the start, > 0.
      frozen_embeddings: whether the embedding table is kept as it is.
      vocab_size: V, number of token ids, with the one that ends a target.
      max_length: the longest source or target, in tokens, the end among them.

    Returns:
      A Flax module; ``write`` decodes with it.

    Raises:
      ValueError: for a spec that cannot be built, sizes that do not fit, or parts that do not go together, with the reason.
    """
    given = {"encoder": encoder, "decoder": decoder, "mixer": mixer, "encoding": encoding, "score": score}
    given |= {"normalizer": normalizer, "mask": mask}
    given = {kind: specs.canonical(kind, spec) for kind, spec in given.items()}
    built_decoder: Any = specs.build("decoder", given["decoder"])
    sizes = {"dim": dim, "vocab_size": vocab_size, "max_length": max_length}
    check_switches(frozen_embeddings=frozen_embeddings)
    check_numbers(embedding_init, compute_dtype, matmul_precision, **sizes)
    built_encoder, built_mixer, parts, dims = assembled(given, **sizes, kernel=kernel, decoder_uses=built_decoder.uses)
    parsed = specs.parse(given["mask"])
    own = [
        str(term) for term in parsed.terms or (parsed,) if not specs.build("mask", str(term)).packs
    ]  # a target is one segment
    if not parts.mask.causal:  # a target is written from left to right, whatever may be seen of a source
        own = ["causal", *own]
    given["mask"] = " & ".join(own)
    causal = parts._replace(mask=specs.build("mask", given["mask"]))
    compatibility.check_parts(causal, given)
    if "mixer" in built_decoder.uses:
        built_decoder = dataclasses.replace(built_decoder, mixer=built_mixer)
    told = {"dims": dims._replace(causal=True), "parts": causal, "width": built_encoder.width(dim)}
    built_decoder = dataclasses.replace(built_decoder, **told)
    built_decoder.check(given)
    options = (kernel, compute_dtype, embedding_init, frozen_embeddings)
    return Seq2Seq(built_encoder, built_decoder, parts, dims, *options, matmul_precision=matmul_precision)


def write(
    model: Seq2Seq,
    params: Any,
    tokens: jax.Array,
    valid: jax.Array,
    *,
    length: int,
    width: int = 1,
    length_penalty: float = 0.0,
    positions: jax.Array | None = None,
    segments: jax.Array | None = None,
    rng: jax.Array | None = None,
) -> tuple[jax.Array, jax.Array]:
    """The targets that a model writes for sources: greedily, or by beam search. To be jitted.

    Args:
      model: the model.
      params: its parameters.
      tokens: int32 ``[B S]``.
      valid: bool ``[B S]``.
      length: U, tokens of a target at most.
      width: W of the beam; 1 for greedy.
      length_penalty: α of ``attention.decoding.beam``.
      positions: int32 ``[B S]``, as of the model.
      segments: int32 ``[B S]``, as of the model.
      rng: key of what a method draws at random even at test.

    Returns:
      int32 ``[B W U]``, best first, 0 after the end, and the logarithms of their probabilities ``[B W]``.

    Example:
      >>> tokens, log_p = write(model, params, tokens, valid, length=32, width=4)
    """
    rngs = split(rng, 2)
    apply = lambda method, *args, **options: model.apply({"params": params}, *args, **options, method=method)
    source = apply("encode", tokens, valid, positions=positions, segments=segments, rng=rngs[0])

    def advance(written: jax.Array, place: jax.Array, remembered: Any) -> tuple[jax.Array, Any]:
        return apply("advance", written, place, remembered, rngs[1])

    remembered = apply("begin", source, length)
    options = {"batch": len(tokens), "length": length, "end": model.end}
    return decoding.beam(advance, remembered, **options, width=width, length_penalty=length_penalty)
