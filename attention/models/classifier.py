"""The text classifier: embeddings, an encoder, a pooling and a linear layer, every part named by a spec."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from attention import arguments, compatibility, specs
from attention.encoders._modules import dropped, preceded, split
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
from attention.records import Dims, Gate, Parts, Pooling


class TextClassifier(Model):
    """Tokens to logits. Make one with ``classifier``, which checks that the parts go together.

    Attributes:
      encoder: an ``attention.encoders._modules.Encoder``.
      parts: encoding, score, normalizer and mask.
      pooling: how states become one vector.
      dims: the sizes.
      num_classes: C.
      kernel: "auto", "dense", "chunked" or "cudnn".
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
          tokens: int32 ``[B T]``, ids in [0, V); others are refused, but under jit, where ids of V and more read the last
            embedding, and -1, -2, ... count from the end.
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
        check_texts(tokens, valid, positions, segments)
        captured: dict[str, Any] = {}
        rng_encoder, rng_head = split(rng, 2)
        embedding = Embedding(self.dims, self.embedding_init, self.frozen_embeddings, self.compute_dtype, name="embedding")
        x = embedding(tokens)
        if E := self.extra_tokens:
            extra = self.param("extra_tokens", nn.initializers.normal(1.0), (E, x.shape[-1]))
            x, tokens = preceded(x, extra, E, axis=-2), preceded(tokens, 0, E)  # token id 0 stands for them
        call = self.call_of(valid, positions=positions, segments=segments, rng=rng_encoder, train=train)
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
    def extra_tokens(self) -> int:
        """Learned tokens before the text."""
        return self.pooling.extra_tokens

    @nn.nowrap
    def example(self) -> dict[str, Any]:
        """The smallest arguments, for ``init``."""
        tokens = jnp.ones((1, 8), jnp.int32)
        return {"tokens": tokens, "valid": tokens > 0, "segments": 0 * tokens}


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
    matmul_precision: str = "highest",
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
      kernel: "auto", "dense", "chunked" or "cudnn".
      compute_dtype: "float32" or "bfloat16".
      matmul_precision: of products of float32, which a GPU or TPU rounds their factors for: "highest" (not at all), "high" or
        "default" (what JAX does by itself). A CPU does not round.
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
    check_numbers(
        embedding_init,
        compute_dtype,
        matmul_precision,
        dim=dim,
        vocab_size=vocab_size,
        num_classes=num_classes,
        max_length=max_length,
    )
    arguments.check_size("head_hidden", head_hidden, 0)
    check_switches(frozen_embeddings=frozen_embeddings, head_softmax=head_softmax)
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
        matmul_precision=matmul_precision,
    )
