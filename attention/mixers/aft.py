r"""Attention-free transformer: every channel is an attention of its own, by keys and a bias per pair of positions.

```math
y_i = \sigma(q_i) \odot \frac{\sum_j e^{k_j + w_{ij}} \odot v_j}{\sum_j e^{k_j + w_{ij}}} \quad \text{per channel}
```

`form=simple` has no w. w is any L × L matrix here, a product of two factors in the paper, and starts at 0.

Parameters: 4(D² + D) + L²; simple: 4(D² + D).
Cost in T: T²; simple: T
Cost: two products with a T × T matrix that all texts share.
Traps: e^k and e^w are scaled apart, each by its largest, so a key that is 88 below the largest of its channel is lost.
Source: Zhai et al. 2021 (arXiv 2105.14103), eq. 2 and 4.
"""

from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from attention.documents import of_document, running
from attention.mixers._features import divided, documents_of
from attention.mixers._heads import check_causal, init_heads, is_causal, merge, triple
from attention.positions import check_length, packed_segments, places, rows, table_length
from attention.precision import widen
from attention.records import Mixer

__all__ = ["aft_full", "aft_simple"]


def aft_full(
    query: Float[Array, "*B T D"],
    key: Float[Array, "*B S D"],
    value: Float[Array, "*B S D"],
    bias: Float[Array, "*#B T S"],
    where: Bool[Array, "*#B S"] | None = None,
    *,
    causal: bool = False,
    segments: Int[Array, "*#B T"] | None = None,
) -> Float[Array, "*B T D"]:
    """Attention per channel, ``y_i = σ(q_i) ⊙ Σ_j e^(k_j + w_ij) ⊙ v_j / Σ_j e^(k_j + w_ij)``.

    Args:
      query: ``[*B T D]``.
      key: ``[*B S D]``.
      value: ``[*B S D]``.
      bias: w, ``[*#B T S]``.
      where: bool ``[*#B S]``, the keys that count; None for all.
      causal: whether the sums are over ``j <= i``, in the order of the sequence; S = T then.
      segments: int ``[*#B T]``, of the causal form alone: where another begins, the sums start anew; None for one.

    Returns:
      ``[*B T D]`` of the type of ``value``, computed in float32; zeros where no key counts.

    Raises:
      ValueError: for the causal form with S ≠ T, or segments without it.

    Example:
      >>> attention.aft_full(jnp.zeros((1, 1)), jnp.zeros((2, 1)), jnp.array([[1.0], [3.0]]), jnp.zeros((1, 2)))
      [[1.0]]

    Source: Zhai et al. 2021 (arXiv 2105.14103), eq. 2. Two exponentials are multiplied, each at most 1, so a key is lost
    where it is 88 below the largest of its channel.
    """
    T, S = bias.shape[-2:]
    documents = documents_of(segments, where, causal)
    open_pairs = jnp.ones((1, S), bool) if where is None else where[..., None, :]
    if causal:
        check_causal(T, S)
        open_pairs = open_pairs & jnp.tril(jnp.ones((T, S), bool))
    if documents is not None:
        open_pairs = open_pairs & (documents[..., :, None] == documents[..., None, :])
    bias = widen(bias)
    pairs = _exponentials(bias, open_pairs, axis=-1)
    return _gated_means(query, key, value, where, documents, lambda x: pairs @ x)


def aft_simple(
    query: Float[Array, "*B T D"],
    key: Float[Array, "*B S D"],
    value: Float[Array, "*B S D"],
    where: Bool[Array, "*#B S"] | None = None,
    *,
    causal: bool = False,
    segments: Int[Array, "*#B T"] | None = None,
) -> Float[Array, "*B T D"]:
    """Attention per channel without positions, ``y_i = σ(q_i) ⊙ Σ_j softmax_j(k_j) ⊙ v_j``.

    Args:
      query: ``[*B T D]``.
      key: ``[*B S D]``.
      value: ``[*B S D]``.
      where: bool ``[*#B S]``, the keys that count; None for all.
      causal: whether the sums are over ``j <= i``, in the order of the sequence; S = T then.
      segments: int ``[*#B T]``, of the causal form alone: where another begins, the sums start anew; None for one.

    Returns:
      ``[*B T D]`` of the type of ``value``, computed in float32; zeros where no key counts.

    Raises:
      ValueError: for the causal form with S ≠ T, or segments without it.

    Example:
      >>> attention.aft_simple(jnp.zeros((1, 1)), jnp.zeros((2, 1)), jnp.array([[1.0], [3.0]]))
      [[1.0]]

    Source: Zhai et al. 2021 (arXiv 2105.14103), eq. 4; in the causal form a key is lost as in ``aft_full``.
    """
    documents = documents_of(segments, where, causal)
    if not causal:
        return _gated_means(query, key, value, where, None, lambda x: jnp.sum(x, axis=-2, keepdims=True))
    check_causal(query.shape[-2], key.shape[-2])
    total = lambda x: jnp.cumsum(x, axis=-2) if documents is None else running(jnp.add, x, documents)
    return _gated_means(query, key, value, where, documents, total)


def _gated_means(
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    where: jax.Array | None,
    documents: jax.Array | None,
    total: Callable[[jax.Array], jax.Array],
) -> jax.Array:
    """``σ(q) ⊙ total(e^k ⊙ v) / total(e^k)``, with ``total`` a sum over keys."""
    query, key, values = map(widen, (query, key, value))
    open_keys = jnp.ones((key.shape[-2], 1), bool) if where is None else where[..., None]
    keys = _exponentials(key, open_keys, axis=-2, documents=documents)
    mean = divided(total(keys * jnp.where(open_keys, values, 0.0)), total(keys))
    return (jax.nn.sigmoid(query) * mean).astype(value.dtype)


def _exponentials(x: jax.Array, where: jax.Array, axis: int, documents: jax.Array | None = None) -> jax.Array:
    """``e^(x - max x)`` along an axis, or of each of the documents along it, zeros where it does not count."""
    low = jax.lax.stop_gradient(jnp.where(where, x, -jnp.inf))
    if documents is None:
        top = jnp.max(low, axis=axis, keepdims=True, initial=-jnp.inf)
    else:
        top = of_document(jnp.maximum, low, documents)
    top = jnp.where(top == -jnp.inf, 0.0, top)
    return jnp.where(where, jnp.exp(jnp.where(where, x - top, 0.0)), 0.0)


def build(form: Literal["full", "simple"] = "full", bias: bool = True) -> Mixer:
    """``'full'`` with a learned w ``[L L]``, zeros at the start, or ``'simple'`` without; 4(D² + D) parameters, and L².

    The paper's w is a product of two factors; this is any matrix. L is the longest text of the model: longer ones are refused.
    ``mask=causal`` goes by the order of the sequence. Dropout acts on what the block adds alone.
    """

    def init(rng, dims):
        params = init_heads(rng, dims, bias=bias)
        if form == "full":
            L = table_length("aft", dims.max_length)
            params["pairs"] = jnp.zeros((L, L))
        return params

    def apply(params, x, context, call):
        query, key, value = (each[..., 0, :] for each in triple(params, x, context))
        options = {"where": call.k_valid, "causal": is_causal(context), "segments": packed_segments(call)}
        if form == "simple":
            return merge(params["output"], aft_simple(query, key, value, **options)[..., None, :])
        table, T, S = params["pairs"], query.shape[-2], key.shape[-2]
        check_length("the mixer", len(table), max(T, S))
        q_places = places("the mixer", len(table), call.q_positions, call.q_valid)
        k_places = places("the mixer", len(table), call.k_positions, call.k_valid)
        pairs = rows(table, q_places, T)
        if k_places is None:
            pairs = pairs[..., :S]
        else:
            pairs = jnp.swapaxes(rows(table.T, k_places, S), -1, -2) if q_places is None else _both(table, q_places, k_places)
            pairs = pairs[..., :T, :]
        return merge(params["output"], aft_full(query, key, value, pairs, **options)[..., None, :])

    return Mixer(
        apply=apply,
        init=init,
        uses=(),
        masks=("causal",),
        max_length="dims" if form == "full" else None,
        attends=False,
    )


def _both(table: jax.Array, q_places: jax.Array, k_places: jax.Array) -> jax.Array:
    """``w[p_i, p_j]`` ``[*#B T S]``, NaN past the end of the table."""
    L = len(table)
    past = (q_places >= L)[..., :, None] | (k_places >= L)[..., None, :]
    index = jnp.minimum(q_places, L - 1)[..., :, None] * L + jnp.minimum(k_places, L - 1)[..., None, :]
    return jnp.where(past, jnp.nan, jnp.take(table.ravel(), index, axis=0))
