"""A penalty on the score proportional to the distance, with a fixed slope per head."""

from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Num

from attention.encodings._positions import by_distance
from attention.records import Encoding

__all__ = ["alibi_bias", "alibi_slopes"]

Form = Literal["symmetric", "asymmetric"]


def alibi_slopes(num_heads: int) -> np.ndarray:
    """The slope of each head, ``m_h = 2^(-8h/N)``, h = 1 .. N, for N a power of two.

    Otherwise, with c the largest power of two below N: the slopes of c heads, then every other slope of 2c heads.

    Args:
      num_heads: N >= 1.

    Returns:
      float32 ``[N]``.

    Raises:
      ValueError: for less than one head.

    Example:
      >>> attention.alibi_slopes(4)
      [0.25, 0.0625, 0.015625, 0.00390625]

    Source: Press et al. 2021 (arXiv 2108.12409), section 3 and the official code.
    """
    if num_heads < 1:
        raise ValueError(f"num_heads must be >= 1, got {num_heads}")
    power = 2 ** int(np.log2(num_heads))
    slopes = 2.0 ** (-8.0 * np.arange(1, power + 1) / power)
    between = 2.0 ** (-8.0 * np.arange(1, 2 * power + 1, 2) / (2 * power))
    return np.concatenate([slopes, between[: num_heads - power]]).astype(np.float32)


def alibi_bias(
    q_positions: Num[Array, "*#B T"],
    k_positions: Num[Array, "*#B S"],
    slopes: Float[Array, " N"],
    *,
    form: Form = "symmetric",
) -> Float[Array, "*#B N T S"]:
    """Linear bias, ``b_h(i, j) = -m_h |i - j|``, which is ALiBi's ``-m_h (i - j)`` wherever a causal mask allows.

    Args:
      q_positions: ``[*#B T]``.
      k_positions: ``[*#B S]``.
      slopes: m, ``[N]``.
      form: ``'symmetric'``, or ``'asymmetric'``, which adds ``0.5 m_h`` for earlier keys (j < i) so that direction shows.

    Returns:
      float32 ``[*#B N T S]``, added after scaling.

    Example:
      >>> attention.alibi_bias(jnp.array([2]), jnp.arange(3), jnp.array([0.5]))
      [[[-1.0, -0.5, 0.0]]]

    Source: Press et al. 2021 (arXiv 2108.12409), eq. in section 3, causal. The paper has no bidirectional form; the symmetric
    one is DNABERT-2's and MosaicBERT's, the asymmetric one that of Ruoss et al. 2023 (arXiv 2305.16843).
    """
    penalty = _penalty(q_positions[..., :, None] - k_positions[..., None, :], form)
    return slopes[:, None, None] * penalty[..., None, :, :]


def _penalty(distance: jax.Array, form: Form) -> jax.Array:
    penalty = -jnp.abs(distance).astype(jnp.float32)
    return penalty + 0.5 * (distance > 0) if form == "asymmetric" else penalty


def build(form: Form = "symmetric") -> Encoding:
    """ALiBi with the slopes of the paper; use ``symmetric`` under a causal mask."""

    def prepare(params, x, query, key, call):
        return (), (), jnp.asarray(alibi_slopes(query.shape[-2]))

    def bias(params, q_features, k_features, slopes, call):
        return by_distance(call, lambda distance: _penalty(distance, form)[..., None] * slopes)

    return Encoding(prepare=prepare, bias=bias, reads="block", extrapolates=True)
