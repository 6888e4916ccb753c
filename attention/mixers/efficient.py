r"""Efficient attention: queries are normalized over their channels and keys over the sequence, each by a softmax.

```math
\mathrm{softmax}_h(Q)\, \big(\mathrm{softmax}_s(K)^\top V\big) / \sqrt H
```

Parameters: 4(D² + D)
Cost in T: T
Padding: left out of the softmax over keys.
Traps: the division by √H is that of public code; the paper has none (`scaled=False`), and its outputs are means of values.
No causal form: the softmax over keys is over the whole text.
Source: Shen et al. 2018 (arXiv 1812.01243).
"""

import math

import jax
from jaxtyping import Array, Bool, Float

from attention.mixers._features import weighted_sums
from attention.mixers._heads import check_heads, mixer_of_heads, without_padding
from attention.normalizers.softmax import softmax
from attention.precision import widen
from attention.records import Mixer

__all__ = ["efficient_attention"]


def efficient_attention(
    query: Float[Array, "*B T N H"],
    key: Float[Array, "*B S N H"],
    value: Float[Array, "*B S N H"],
    where: Bool[Array, "*#B S"] | None = None,
    *,
    scale: float = 1.0,
) -> Float[Array, "*B T N H"]:
    """Attention by two softmaxes, ``O = s · softmax_h(Q) (softmax_s(K)ᵀ V)``.

    Args:
      query: ``[*B T N H]``, normalized over its channels h.
      key: ``[*B S N H]``, each channel normalized over the sequence.
      value: ``[*B S N H]``.
      where: bool ``[*#B S]``, the keys that count; None for all.
      scale: s.

    Returns:
      ``[*B T N H]`` of the type of ``value``, computed in float32; zeros where no key counts. With s = 1 each output is a mean
      of values.

    Example:
      >>> attention.efficient_attention(jnp.zeros((1, 1, 2)), jnp.zeros((2, 1, 2)), jnp.array([[[1.0, 0.0]], [[3.0, 0.0]]]))
      [[[2.0, 0.0]]]

    Source: Shen et al. 2018 (arXiv 1812.01243), eq. 4, "softmax" normalization.
    """
    query, key, values = map(widen, (query, key, value))
    open_keys = None if where is None else where[..., None, None]
    k = softmax(key, open_keys, axis=-3)
    q = scale * jax.nn.softmax(query, axis=-1)
    return weighted_sums(q, k, without_padding(values, where), causal=False).astype(value.dtype)


def build(heads: int = 4, head_dim: int | None = None, bias: bool = True, scaled: bool = True) -> Mixer:
    """Efficient attention with projections as in ``attention``; 4(D² + D) parameters.

    ``scaled`` divides by √H, as the code of linear-attention-transformer does and the paper does not. The sums are over the
    whole sequence: there is no causal form. There are no weights, so dropout acts on what the block adds alone.
    """
    check_heads(heads, head_dim=head_dim)

    def attend(query, key, value, context, call):
        scale = 1.0 / math.sqrt(query.shape[-1]) if scaled else 1.0
        return efficient_attention(query, key, value, call.k_valid, scale=scale)

    return mixer_of_heads(attend, heads, head_dim, bias)
