r"""Words make sentences and sentences make texts: a GRU and attention over the words of each, then a GRU over the sentences.

```math
u_t = \tanh(W h_t + b), \quad \alpha = \mathrm{softmax}(u_t \cdot u_w), \quad s = \textstyle\sum_t \alpha_t h_t
```

The words of a sentence are read by a GRU in both directions, which gives $h_t$; another GRU reads the sentences $s$.
`pooling=additive` is the attention over them.

Parameters: 6U(D + U + 1) + 6U(3U + 1) + 2UA + 2A
Steps: 2T at most
Width: 2U; a state per sentence
Options: `hidden` U (D / 2), `attention` A (2U).
When: long texts. It needs `config.data.segments=sentences` (or `lines`) and says so.
Cost: T steps for the words whatever the sentences, because the state begins anew where a sentence does, and as many for
the sentences as the text of the batch with the most of them has, in eights. No sentence is cut off, and none is filled up.
Traps: a softmax over a padded sentence, and a sentence of padding that gets a share of the second softmax. Here both
levels are masked. Weights of the pooling are over sentences; those over words are captured as "word_weights".
Source: Yang et al. 2016 (HAN, NAACL, N16-1174).
"""

import dataclasses
import math
from typing import ClassVar

import jax
import jax.numpy as jnp
from flax import linen as nn

from attention.encoders._modules import Encoder, dropped, embedded, split
from attention.encoders._recurrent import Bidirectional, check_options, half
from attention.placement import check_not_explicit
from attention.records import Call, Context, Dims

__all__: list[str] = []


class Hierarchical(Encoder):
    """Two levels of GRUs in both directions, U = ``hidden`` units each, with A = ``attention`` units in between."""

    hidden: int | None = None
    attention: int | None = None

    by_token: ClassVar[bool] = False
    sees_all: ClassVar[bool] = False
    needs_segments: ClassVar[bool] = True

    @nn.nowrap
    def width(self, model_dim: int) -> int:
        """Channels of a state, 2U. Raises ValueError where two directions cannot share the model's."""
        return 2 * half(self.hidden, model_dim)

    @nn.compact
    def __call__(self, x: jax.Array, context: Context, call: Call, dims: Dims) -> tuple[jax.Array, Call]:
        """Embeddings ``[B T D]`` to states of sentences ``[B T 2U]``, and which of them there are."""
        if call.q_segments is None:
            raise ValueError(
                "encoder=hierarchical reads sentences; give segments, or config.data.segments=sentences, lines or columns"
            )
        check_not_explicit("encoder=hierarchical", x)
        batch, length, hidden = x.shape[:-2], x.shape[-2], half(self.hidden, dims.model_dim)
        valid = jnp.broadcast_to(True if call.q_valid is None else call.q_valid, (*batch, length))
        numbers = jnp.broadcast_to(call.q_segments, valid.shape)
        rngs = split(call.rng, 2)
        x = dropped(embedded(self, x, context, call, dims), context, rngs[0])
        words = Bidirectional("gru", hidden, name="words")(x, valid, numbers)
        inside = jnp.tanh(nn.Dense(self.attention or 2 * hidden, dtype=x.dtype, name="attention")(words))
        vector = self.param("vector", nn.initializers.glorot_uniform(), (inside.shape[-1], 1))[:, 0]
        scores = jnp.einsum("...ta,a->...t", inside.astype(vector.dtype), vector)
        sentences, there, weights = attended(words, scores, numbers, valid)
        sentences = Bidirectional("gru", hidden, name="sentences")(dropped(sentences, context, rngs[1]), there)
        if context.record is not None:
            context.record("word_weights", weights)
        outside = jnp.any(valid & ((numbers < 0) | (numbers >= length)), axis=-1)
        states = jnp.where(outside[..., None, None], jnp.nan, sentences)
        told = {"q_positions": None, "k_positions": None, "q_segments": None, "k_segments": None}
        return states, dataclasses.replace(call, q_valid=there, k_valid=there, prefix=False, **told)


def attended(
    words: jax.Array, scores: jax.Array, numbers: jax.Array, valid: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Sums of the words of each sentence, weighed by a softmax over them.

    Args:
      words: ``[*B T E]``.
      scores: ``[*B T]``.
      numbers: int ``[*B T]``, the sentence of each word, in [0, T); words of others are left out.
      valid: bool ``[*B T]``, False at padding, which is in no sentence.

    Returns:
      The sentences ``[*B T E]`` of the dtype of ``words``, zeros past the last one; bool ``[*B T]``, which of them have words;
      and weights over the words ``[*B T]``, float32 at least, of sum 1 in each sentence.
    """
    *batch, T, E = words.shape
    texts = math.prod(batch)
    rows = jnp.arange(texts)[:, None] * (T + 1)  # one more slot per text, for what is in no sentence
    counts = valid & (numbers >= 0) & (numbers < T)
    slots = (rows + jnp.where(counts, numbers, T).reshape(texts, T)).ravel()
    total = (T + 1) * texts
    wide = jnp.promote_types(words.dtype, jnp.float32)
    scores = scores.astype(wide).ravel()
    top = jax.ops.segment_max(jax.lax.stop_gradient(scores), slots, total)
    shares = jnp.where(counts.ravel(), jnp.exp(scores - top[slots]), 0.0)
    sums = jax.ops.segment_sum(shares, slots, total)
    weighed = jax.ops.segment_sum(shares[:, None] * words.reshape(texts * T, E).astype(wide), slots, total)
    safe = jnp.where(sums == 0, 1.0, sums)
    sentences = (weighed / safe[:, None]).reshape(*batch, T + 1, E)[..., :T, :]
    there = (sums > 0).reshape(*batch, T + 1)[..., :T]
    return sentences.astype(words.dtype), there, (shares / safe[slots]).reshape(*batch, T)


def build(hidden: int | None = None, attention: int | None = None) -> Hierarchical:
    """Hierarchical attention (HAN) with U = ``hidden`` units per direction and A = ``attention``; None for D / 2 and 2U.

    Over the words of a sentence, ``h_t = [→GRU ; ←GRU]``, ``u_t = tanh(W h_t + b)``, ``α = softmax_t(u_t · u_w)`` and
    ``s = Σ α_t h_t``; then a GRU in both directions over the sentences. What is returned are the states of the sentences, which
    the pooling weighs: ``pooling=additive`` is the paper's attention over sentences. Sentences are the segments of the text,
    numbered from 0 (``config.data.segments=sentences``), as many and as long as they come: the words are one recurrence over
    the text, whose state begins anew in each sentence. A number outside [0, T) gives NaN.
    2·3U(D + U + 1) + 2·3U(3U + 1) + 2U·A + 2A parameters. With ``capture``, "word_weights" ``[B T]`` are the α, and the weights
    of the pooling are over sentences. Yang et al. 2016 (NAACL, N16-1174).
    """
    check_options(hidden)
    if attention is not None and attention < 1:
        raise ValueError(f"attention must be >= 1, got {attention}")
    return Hierarchical(hidden, attention)
