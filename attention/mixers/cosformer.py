r"""cosFormer: relu features, weighed down with the distance by a cosine.

```math
a_{ij} \propto \mathrm{relu}(q_i) \cdot \mathrm{relu}(k_j)\, \cos\Big(\frac{\pi (i - j)}{2M}\Big)
```

M is the number of valid tokens, or `length`.

Parameters: 4(D² + D)
Cost in T: T
Padding: i and j count valid tokens.
Traps: with M the length of the text, a causal model would know at its start how long the text is: `mask=causal` needs
`length`. Where relu leaves nothing in common, the output is 0 (the denominator is at least 1e-6).
Source: Qin et al. 2022 (arXiv 2202.08791).
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from attention.mixers._features import documents_of, weighted_means
from attention.mixers._heads import check_heads, is_causal, mixer_of_heads, without_padding
from attention.positions import packed_segments
from attention.precision import widen
from attention.records import Mixer

__all__ = ["cosformer_attention"]


def cosformer_attention(
    query: Float[Array, "*B T N H"],
    key: Float[Array, "*B S N H"],
    value: Float[Array, "*B S N H"],
    where: Bool[Array, "*#B S"] | None = None,
    *,
    q_where: Bool[Array, "*#B T"] | None = None,
    length: int | None = None,
    causal: bool = False,
    segments: Int[Array, "*#B T"] | None = None,
    epsilon: float = 1e-6,
) -> Float[Array, "*B T N H"]:
    """Attention with weights ``a_ij ∝ relu(q_i)·relu(k_j) cos(π (i - j) / 2M)``, of sum 1.

    ``cos(a - b) = cos a cos b + sin a sin b`` makes the cosine a part of the features. i and j count the tokens that count.

    Args:
      query: ``[*B T N H]``.
      key: ``[*B S N H]``.
      value: ``[*B S N H]``.
      where: bool ``[*#B S]``, the keys that count; None for all.
      q_where: bool ``[*#B T]``, the queries that count; None for all.
      length: M, at least T and S; None for the number of queries or keys that count, whichever is larger.
      causal: whether the sums are over ``j <= i``; S = T then, and M must be given, because that of a text says how long it is.
      segments: int ``[*#B T]``, of the causal form alone: where another begins, the sums start anew; None for one.
      epsilon: the smallest denominator, > 0.

    Returns:
      ``[*B T N H]`` of the type of ``value``, computed in float32; zeros where no key counts, or none is similar.

    Raises:
      ValueError: for a length below T or S, the causal form without one or with S ≠ T, or segments without it.

    Example:
      >>> attention.cosformer_attention(jnp.ones((1, 1, 1)), jnp.ones((2, 1, 1)), jnp.array([[[1.0]], [[3.0]]]))
      [[[1.8284271]]]

    Source: Qin et al. 2022 (arXiv 2202.08791), eq. 9-11; the smallest denominator is that of their code. Their M is the padded
    length, of all keys in the causal form too.
    """
    T, S = query.shape[-3], key.shape[-3]
    if length is not None and length < max(T, S):
        raise ValueError(f"cosformer is for sequences of at most {length} tokens, got {max(T, S)}")
    if causal and length is None:
        raise ValueError("the causal form needs length, because that of a text is not known at its start")
    query, key, values = map(widen, (query, key, value))
    (i, n), (j, m) = _counted(q_where, T, query.dtype), _counted(where, S, query.dtype)
    M = jnp.asarray(length, query.dtype) if length is not None else jnp.maximum(jnp.maximum(n, m), 1.0)
    q = _turned(jax.nn.relu(query), 0.5 * math.pi * i / M)
    k = without_padding(_turned(jax.nn.relu(key), 0.5 * math.pi * j / M), where)
    options = {"causal": causal, "documents": documents_of(segments, where, causal)}
    sums, weights = weighted_means(q, k, without_padding(values, where), **options)
    return (sums / jnp.maximum(weights, epsilon)).astype(value.dtype)


def _counted(where: jax.Array | None, length: int, dtype: Any) -> tuple[jax.Array, jax.Array]:
    """The number of tokens before each one ``[*#B T]``, and of all of them ``[*#B 1]``."""
    if where is None:
        return jnp.arange(length, dtype=dtype), jnp.full(1, length, dtype)
    return jnp.cumsum(where, axis=-1, dtype=dtype) - 1.0, jnp.sum(where, axis=-1, keepdims=True, dtype=dtype)


def _turned(x: jax.Array, angles: jax.Array) -> jax.Array:
    phi = angles[..., None, None]
    return jnp.concatenate([x * jnp.cos(phi), x * jnp.sin(phi)], axis=-1)


def build(heads: int = 4, head_dim: int | None = None, bias: bool = True, length: int | None = None) -> Mixer:
    """cosFormer with projections as in ``attention``; 4(D² + D) parameters.

    M is the number of tokens of each text, or ``length``, the longest there can be; ``mask=causal`` needs ``length``. The
    cosine is an encoding of positions already, by the order of the tokens. Dropout acts on what the block adds alone.
    """
    check_heads(heads, head_dim=head_dim, length=length)

    def attend(query, key, value, context, call):
        options = {"q_where": call.q_valid, "length": length, "causal": is_causal(context), "segments": packed_segments(call)}
        return cosformer_attention(query, key, value, call.k_valid, **options)

    def refuses(parts):
        lacks = parts.mask.causal and length is None
        return ("mask", "give length, the longest text: its own is not known at its start") if lacks else None

    return mixer_of_heads(attend, heads, head_dim, bias, masks=("causal",), max_length=length, refuses=refuses)
