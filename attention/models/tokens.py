"""An output at every token: embeddings, an encoder and a head, as a language model under a causal mask or as a tagger."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from attention import compatibility, specs
from attention.arguments import check_size
from attention.encoders._modules import split
from attention.models._model import (
    DEFAULTS,
    DTYPES,
    Embedding,
    Model,
    assembled,
    check_length,
    check_numbers,
    check_switches,
    check_texts,
    context_of,
)
from attention.models.characters import Characters
from attention.records import Context, Dims, Parts


class TokenModel(Model):
    """Tokens to logits at each of them. Make one with ``language_model`` or ``tagger``, which check that the parts go together.

    Attributes:
      encoder: an ``attention.encoders._modules.Encoder`` that has a state for each token.
      parts: encoding, score, normalizer and mask.
      dims: the sizes.
      num_classes: C; 0 where the classes are the tokens.
      kernel: "auto", "dense", "chunked" or "cudnn".
      compute_dtype: "float32" or "bfloat16"; parameters are float32 always, and so are weights of attention and logits.
      embedding_init: standard deviation of the embeddings at the start.
      frozen_embeddings: whether the embedding table is kept as it is.
      embedding_scale: whether embeddings are multiplied by √D.
      tied: whether the head's weights are the embedding table.
      characters: how many of each word are read beside it, at most; 0 for none.
    """

    encoder: Any
    parts: Parts
    dims: Dims
    num_classes: int = 0
    kernel: str = "auto"
    compute_dtype: str = "float32"
    embedding_init: float = 1.0
    frozen_embeddings: bool = False
    embedding_scale: bool = True
    tied: bool = False
    characters: int = 0

    def setup(self) -> None:
        """Makes embedding and head."""
        options = (self.embedding_init, self.frozen_embeddings, self.compute_dtype, self.embedding_scale)
        self.embedding = Embedding(self.dims, *options)
        if self.characters:
            self.spelling = Characters(self.dims.model_dim, DTYPES[self.compute_dtype])
        if not self.tied:
            self.head = nn.Dense(self.num_classes or self.dims.vocab_size or 0, use_bias=self.num_classes > 0)

    def __call__(
        self,
        tokens: jax.Array,
        valid: jax.Array,
        *,
        positions: jax.Array | None = None,
        segments: jax.Array | None = None,
        places: jax.Array | None = None,
        characters: jax.Array | None = None,
        rng: jax.Array | None = None,
        train: bool = False,
        dropout: Any = None,
        capture: bool = False,
    ) -> tuple[jax.Array, dict[str, Any]]:
        """What the model says at each token.

        Args:
          tokens: int32 ``[B T]``, ids as of ``TextClassifier``.
          valid: bool ``[B T]``, False at padding, which changes nothing.
          positions: int32 ``[B T]``; None for 0, 1, ...
          segments: int32 ``[B T]``, the segment of each token, for masks and encoders that read it; None for one segment, and
            for a language model one document.
          places: int32 ``[B K]``, indices of the tokens to say something at; None for all.
          characters: int32 ``[B T C]``, as of ``data.characters.spelled``, 0 at padding; for a model that reads them.
          rng: key of whatever is random; needed in training with dropout.
          train: whether this is a training step.
          dropout: rate, a number or a traced scalar; None leaves dropout out of the program.
          capture: whether to return intermediate results, attention weights among them.

        Returns:
          logits float32 ``[B T C]``, or ``[B K C]``, and a dict: "loss" ``[B]``, zeros; with ``capture`` also "embeddings",
          "layer_0/weights" ``[B N T S]``, "layer_0/output", ..., and "states".
        """
        check_texts(tokens, valid, positions, segments)
        check_length(tokens.shape[-1], self.encoder, self.parts, self.dims)
        captured: dict[str, Any] = {}
        rng_encoder, _ = split(rng, 2)
        x = self._embedded(tokens, characters)
        if segments is None and self.parts.mask.packs and not self.num_classes:
            segments = jnp.zeros_like(tokens)
        call = self.call_of(valid, positions=positions, segments=segments, rng=rng_encoder, train=train)
        record = captured.__setitem__ if capture else None
        context = self._context(tokens, rng=rng, train=train, dropout=dropout, record=record)
        states, _ = self.encoder(x, context, call, self.dims)
        if capture:
            captured |= {"embeddings": x, "states": states}
        asked = states if places is None else jnp.take_along_axis(states, places[..., None], axis=-2)
        return self._logits(asked), {"loss": jnp.zeros(tokens.shape[:-1], jnp.float32), **captured}

    def _embedded(self, tokens: jax.Array, characters: jax.Array | None) -> jax.Array:
        x = self.embedding(tokens)
        if (characters is None) == bool(self.characters):
            have = "wants the characters of words" if self.characters else "reads no characters"
            raise ValueError(f"this model {have}: it was made with characters={self.characters}")
        return x if characters is None else x + self.spelling(characters)

    @nn.nowrap
    def check_packing(self, given: Mapping[str, str]) -> None:
        """Refuses parts, of which ``given`` are the specs, that cannot have several documents in a row. Raises ValueError."""
        mixer = self.encoder.mixer if "mixer" in self.encoder.uses else specs.build("mixer", DEFAULTS["mixer"])
        compatibility.check_packing(self.encoder, mixer, self.parts, given, window=True)

    @nn.nowrap
    def begin(self, batch: int, length: int) -> Any:
        """What is remembered before the first of ``length`` tokens is read.

        Keys and values of each layer, where the encoder can do with them; otherwise the tokens, which are all read again.
        """
        check_length(length, self.encoder, self.parts, self.dims)
        if self.encoder.remembers(self.parts):
            return self.encoder.begin(batch, length, self.dims, DTYPES[self.compute_dtype])
        return jnp.zeros((batch, length), jnp.int32)

    def advance(self, tokens: jax.Array, place: Any, remembered: Any, rng: Any = None) -> tuple[jax.Array, Any]:
        """Reads tokens that come next.

        Args:
          tokens: int32 ``[B t]``, which stand at ``place`` and behind.
          place: how many have been read.
          remembered: as ``begin`` made it, or this.
          rng: key of what a method draws at random in evaluation too, the same in every call.

        Returns:
          float32 ``[B V]``, the logits of the token after them, and what is remembered.
        """
        rng_encoder, _ = split(rng, 2)
        B, L = jax.tree.leaves(remembered)[0].shape[:2]
        everywhere = jnp.ones((B, L), jnp.bool_)
        call = self.call_of(everywhere, segments=jnp.zeros((B, L), jnp.int32), rng=rng_encoder)
        if self.encoder.remembers(self.parts):
            context = self._context(tokens, rng=rng, train=False, dropout=None, record=None)
            states, remembered = self.encoder.advance(self.embedding(tokens), place, remembered, context, call, self.dims)
            return self._logits(states[..., -1, :]), remembered
        remembered = jax.lax.dynamic_update_slice_in_dim(remembered, tokens, place, 1)
        context = self._context(remembered, rng=rng, train=False, dropout=None, record=None)
        states, _ = self.encoder(self.embedding(remembered), context, call, self.dims)
        last = jax.lax.dynamic_index_in_dim(states, place + tokens.shape[-1] - 1, states.ndim - 2, keepdims=False)
        return self._logits(last), remembered

    def _context(self, tokens: jax.Array, **options: Any) -> Context:
        """The context of a pass; a text that goes on does not say how many tokens there will be."""
        return context_of(self, tokens, **options)._replace(window=None if self.num_classes else self.dims.max_length)

    def _logits(self, states: jax.Array) -> jax.Array:
        states = states.astype(jnp.float32)
        return self.embedding.attend(states) if self.tied else self.head(states)

    @nn.nowrap
    def embedding_table(self, vectors: jax.Array) -> jax.Array:
        """The table that makes the model see pretrained ``vectors`` ``[V D]`` as they are."""
        return super().embedding_table(vectors) if self.embedding_scale else vectors

    @nn.nowrap
    def example(self) -> dict[str, Any]:
        """The smallest arguments, for ``init``."""
        tokens = jnp.ones((1, 8), jnp.int32)
        spelled = {"characters": jnp.ones((1, 8, self.characters), jnp.int32)} if self.characters else {}
        return {"tokens": tokens, "valid": tokens > 0, "segments": 0 * tokens, **spelled}


def language_model(
    *,
    encoder: str = DEFAULTS["encoder"],
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
    embedding_scale: bool = True,
    tied: bool = False,
    vocab_size: int,
    max_length: int,
) -> TokenModel:
    """The model of the next token that specs describe: no state sees a later token.

    Args:
      encoder: how embeddings become states.
      mixer: how the encoder's layers move information between positions.
      encoding: how positions enter.
      score: how a query and a key are compared.
      normalizer: how scores become weights.
      mask: who may attend to whom; a causal one.
      dim: D, width of the model.
      kernel: "auto", "dense", "chunked" or "cudnn".
      compute_dtype: "float32" or "bfloat16".
      matmul_precision: of products of float32, which a GPU or TPU rounds their factors for: "highest" (not at all), "high" or
        "default" (what JAX does by itself). A CPU does not round.
      embedding_init: standard deviation of the embeddings at the start, > 0.
      frozen_embeddings: whether the embedding table is kept as it is.
      embedding_scale: whether embeddings are multiplied by √D, and their table starts at 1/√D of ``embedding_init``.
      tied: whether the head's weights are the embedding table; else it has weights of its own, without a bias.
      vocab_size: V, number of token ids.
      max_length: the longest text, in tokens.

    Returns:
      A Flax module: ``model.init(rng, tokens, valid)["params"]``, ``model.apply({"params": params}, tokens, valid)``.

    Raises:
      ValueError: for a spec that cannot be built, sizes that do not fit, parts that do not go together, and parts that let a
        token see later ones, with the reason.
    """
    given = _canonical(encoder=encoder, mixer=mixer, encoding=encoding, score=score, normalizer=normalizer, mask=mask)
    check_numbers(embedding_init, compute_dtype, matmul_precision, dim=dim, vocab_size=vocab_size, max_length=max_length)
    check_switches(frozen_embeddings=frozen_embeddings, embedding_scale=embedding_scale, tied=tied)
    records: Any = {kind: specs.build(kind, given[kind]) for kind in ("encoder", "mixer", "encoding", "mask")}
    compatibility.check_causal(**records, given=given)
    built, _, parts, dims = assembled(given, dim=dim, vocab_size=vocab_size, max_length=max_length, kernel=kernel)
    if tied and built.width(dim) != dim:
        raise ValueError(f"tied weights want states as wide as the embeddings, {dim}, got {built.width(dim)}")
    options = (kernel, compute_dtype, embedding_init, frozen_embeddings, embedding_scale, tied)
    return TokenModel(built, parts, dims, 0, *options, matmul_precision=matmul_precision)


def tagger(
    *,
    encoder: str = DEFAULTS["encoder"],
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
    embedding_scale: bool = True,
    characters: int = 0,
    vocab_size: int,
    num_classes: int,
    max_length: int,
) -> TokenModel:
    """The model of a class for each token that specs describe; arguments as of ``language_model``, and any mask.

    Args:
      encoder, mixer, encoding, score, normalizer, mask, dim, kernel, compute_dtype: as of ``language_model``.
      matmul_precision, embedding_init, frozen_embeddings, embedding_scale, vocab_size, max_length: as of ``language_model``.
      characters: how many of each word are read beside it, with marks for its beginning and end; 0 for none, else at least 3.
      num_classes: C.

    Raises:
      ValueError: for a spec that cannot be built, sizes that do not fit, parts that do not go together, or an encoder that
        has no state for each token, with the reason.
    """
    given = _canonical(encoder=encoder, mixer=mixer, encoding=encoding, score=score, normalizer=normalizer, mask=mask)
    sizes = {"dim": dim, "vocab_size": vocab_size, "max_length": max_length}
    check_numbers(embedding_init, compute_dtype, matmul_precision, num_classes=num_classes, **sizes)
    check_switches(frozen_embeddings=frozen_embeddings, embedding_scale=embedding_scale)
    built, _, parts, dims = assembled(given, kernel=kernel, dim=dim, vocab_size=vocab_size, max_length=max_length)
    if not built.by_token:
        raise ValueError(f"encoder={given['encoder']} has states of segments, and a tagger wants one for each token")
    if characters:
        check_size("characters", characters, 3)
    options = (kernel, compute_dtype, embedding_init, frozen_embeddings, embedding_scale)
    return TokenModel(built, parts, dims, num_classes, *options, characters=characters, matmul_precision=matmul_precision)


def _canonical(**given: str) -> dict[str, str]:
    return {kind: specs.canonical(kind, spec) for kind, spec in given.items()}
