"""Attention whose weights are products of features, ``a_ij ∝ φ(q_i)·φ(k_j)``: sums over keys come first, at cost T.

The causal form takes prefix sums by chunks of tokens, in memory that grows with T and not with its square.
"""

import jax
import jax.numpy as jnp

from attention.carries import varying
from attention.documents import numbered
from attention.mixers._heads import check_causal

CHUNK = 128  # tokens: within one the products are a matrix, between chunks the sums are carried


def weighted_sums(
    q_features: jax.Array, k_features: jax.Array, value: jax.Array, *, causal: bool, documents: jax.Array | None = None
) -> jax.Array:
    """``Σ_j (φ_i·ψ_j) v_j``, over ``j <= i`` if causal.

    Args:
      q_features: φ ``[*B T N M]``.
      k_features: ψ ``[*B S N M]``, zeros at tokens that do not count.
      value: ``[*B S N H]``.
      causal: whether later tokens are left out, in the order of the sequence; T = S then.
      documents: as ``numbered`` makes them, ``[*#B T]``, of the causal form alone: sums start anew in each. None for one.

    Returns:
      ``[*B T N H]``.
    """
    if causal:
        return _prefix_sums(q_features, k_features, value, documents)
    sums = jnp.einsum("...snm,...snh->...nmh", k_features, value)
    return jnp.einsum("...tnm,...nmh->...tnh", q_features, sums)


def weighted_means(
    q_features: jax.Array, k_features: jax.Array, value: jax.Array, *, causal: bool, documents: jax.Array | None = None
) -> tuple[jax.Array, jax.Array]:
    """The sums and their weights, ``Σ_j (φ_i·ψ_j) v_j`` and ``Σ_j φ_i·ψ_j`` ``[*B T N 1]``, in one pass."""
    both = jnp.concatenate([value, jnp.ones_like(value[..., :1])], axis=-1)
    sums = weighted_sums(q_features, k_features, both, causal=causal, documents=documents)
    return sums[..., :-1], sums[..., -1:]


def divided(sums: jax.Array, weights: jax.Array) -> jax.Array:
    """The quotient, 0 where the weights are."""
    empty = weights == 0.0
    return jnp.where(empty, 0.0, sums / jnp.where(empty, 1.0, weights))


def documents_of(segments: jax.Array | None, where: jax.Array | None, causal: bool) -> jax.Array | None:
    """The documents ``[*#B T]`` of the segments. Raises ValueError for segments where nothing says which tokens are later."""
    if segments is None:
        return None
    if not causal:
        raise ValueError("segments want causal=True: the other form sums over the whole sequence")
    return numbered(segments, where)


def _prefix_sums(q_features: jax.Array, k_features: jax.Array, value: jax.Array, documents: jax.Array | None) -> jax.Array:
    T = q_features.shape[-3]
    check_causal(T, k_features.shape[-3])
    size = min(CHUNK, T)
    chunks = [_chunks(x, size) for x in (q_features, k_features, value)]
    numbers = None if documents is None else _chunks(documents[..., None, None], size)[..., 0, 0]
    lower = jnp.tril(jnp.ones((size, size), bool))
    outer = lambda k, v: jnp.einsum("...snm,...snh->...nmh", k, v)

    @jax.checkpoint
    def add(carry, chunk):
        (state, last), (q, k, v, numbers) = carry, chunk
        near, early, late = lower, q, k
        if numbers is not None:  # the state is of the document `last`, and leaves as that of this chunk's last token
            near = near & (numbers[..., :, None] == numbers[..., None, :])[..., None, :, :]
            early = jnp.where((numbers == last)[..., None, None], q, 0.0)
            late = jnp.where((numbers == numbers[..., -1:])[..., None, None], k, 0.0)
        products = jnp.where(near, jnp.einsum("...tnm,...snm->...nts", q, k), 0.0)
        output = jnp.einsum("...nts,...snh->...tnh", products, v) + jnp.einsum("...tnm,...nmh->...tnh", early, state)
        if numbers is not None:
            state = jnp.where((numbers[..., -1:] == last)[..., None, None], state, 0.0)
            last = numbers[..., -1:]
        return (state + outer(late, v), last), output

    start = jnp.zeros_like(outer(*(chunk[0] for chunk in chunks[1:])))
    carry = start, None if numbers is None else jnp.zeros_like(numbers[0, ..., -1:])
    _, outputs = jax.lax.scan(add, varying(carry, chunks, numbers), (*chunks, numbers))
    joined = jnp.moveaxis(outputs, 0, -4)
    return joined.reshape(*joined.shape[:-4], -1, *joined.shape[-2:])[..., :T, :, :]


def _chunks(x: jax.Array, size: int) -> jax.Array:
    """``[*B T N M]`` to ``[c *B size N M]``, padded with zeros."""
    *batch, T, N, M = x.shape
    padded = jnp.pad(x, [(0, 0)] * len(batch) + [(0, -T % size), (0, 0), (0, 0)])
    return jnp.moveaxis(padded.reshape(*batch, -1, size, N, M), -4, 0)
