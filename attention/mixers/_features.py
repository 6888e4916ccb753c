"""Attention whose weights are products of features, ``a_ij ∝ φ(q_i)·φ(k_j)``: sums over keys come first, at cost T.

The causal form takes prefix sums by chunks of tokens, in memory that grows with T and not with its square.
"""

import jax
import jax.numpy as jnp

from attention.carries import varying
from attention.mixers._heads import check_causal

CHUNK = 128  # tokens: within one the products are a matrix, between chunks the sums are carried


def weighted_sums(q_features: jax.Array, k_features: jax.Array, value: jax.Array, *, causal: bool) -> jax.Array:
    """``Σ_j (φ_i·ψ_j) v_j``, over ``j <= i`` if causal.

    Args:
      q_features: φ ``[*B T N M]``.
      k_features: ψ ``[*B S N M]``, zeros at tokens that do not count.
      value: ``[*B S N H]``.
      causal: whether later tokens are left out, in the order of the sequence; T = S then.

    Returns:
      ``[*B T N H]``.
    """
    if causal:
        return _prefix_sums(q_features, k_features, value)
    sums = jnp.einsum("...snm,...snh->...nmh", k_features, value)
    return jnp.einsum("...tnm,...nmh->...tnh", q_features, sums)


def weighted_means(
    q_features: jax.Array, k_features: jax.Array, value: jax.Array, *, causal: bool
) -> tuple[jax.Array, jax.Array]:
    """The sums and their weights, ``Σ_j (φ_i·ψ_j) v_j`` and ``Σ_j φ_i·ψ_j`` ``[*B T N 1]``, in one pass."""
    both = jnp.concatenate([value, jnp.ones_like(value[..., :1])], axis=-1)
    sums = weighted_sums(q_features, k_features, both, causal=causal)
    return sums[..., :-1], sums[..., -1:]


def divided(sums: jax.Array, weights: jax.Array) -> jax.Array:
    """The quotient, 0 where the weights are."""
    empty = weights == 0.0
    return jnp.where(empty, 0.0, sums / jnp.where(empty, 1.0, weights))


def _prefix_sums(q_features: jax.Array, k_features: jax.Array, value: jax.Array) -> jax.Array:
    T = q_features.shape[-3]
    check_causal(T, k_features.shape[-3])
    size = min(CHUNK, T)
    chunks = [_chunks(x, size) for x in (q_features, k_features, value)]
    lower = jnp.tril(jnp.ones((size, size), bool))
    outer = lambda k, v: jnp.einsum("...snm,...snh->...nmh", k, v)

    @jax.checkpoint
    def add(state, chunk):
        q, k, v = chunk
        products = jnp.where(lower, jnp.einsum("...tnm,...snm->...nts", q, k), 0.0)
        output = jnp.einsum("...nts,...snh->...tnh", products, v) + jnp.einsum("...tnm,...nmh->...tnh", q, state)
        return state + outer(k, v), output

    start = jnp.zeros_like(outer(*(chunk[0] for chunk in chunks[1:])))
    _, outputs = jax.lax.scan(add, varying(start, chunks), chunks)
    joined = jnp.moveaxis(outputs, 0, -4)
    return joined.reshape(*joined.shape[:-4], -1, *joined.shape[-2:])[..., :T, :, :]


def _chunks(x: jax.Array, size: int) -> jax.Array:
    """``[*B T N M]`` to ``[c *B size N M]``, padded with zeros."""
    *batch, T, N, M = x.shape
    padded = jnp.pad(x, [(0, 0)] * len(batch) + [(0, -T % size), (0, 0), (0, 0)])
    return jnp.moveaxis(padded.reshape(*batch, -1, size, N, M), -4, 0)
