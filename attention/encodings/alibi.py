r"""A penalty on the score proportional to the distance, with a slope per head, fixed or learned.

```math
b_{ij} = -m_h |\Delta|, \quad m_h = 2^{-8h/N}
```

Every token of distance costs the same, at a price that differs from head to head.

Parameters: none: for N not a power of two, the slopes of the power below and every other slope of the one above.
`form=asymmetric` adds ½m for earlier keys, `split_heads` lets half of the heads see earlier keys alone and the rest later
ones, `learned` and `learned_lr` learn slopes, one or two per head.
Claim: 1.3 billion parameters trained on 1,024 tokens reach on 2,048 the perplexity of sinusoids trained on 2,048, and
train 11 % faster with 11 % less memory. Learned slopes brought nothing there.
Traps: the paper is causal; `symmetric`, its usual form in encoders, is [blind to direction](#direction). Not as $m j$
([slips](#slips-seen-in-tutorials-and-references)). It is added after scaling, not divided by $\sqrt H$. The slope of the
steepest heads leaves a window of a few tokens: what runs on may be what was never used. The slopes of `split_heads` are
ours to say: those of N/2 heads for each half.
Source: Press et al. 2021 (arXiv 2108.12409); asymmetric, Ruoss et al. 2023 (arXiv 2305.16843).
Family: Biases with a shape
"""

from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Num

from attention.encodings._distances import by_distance
from attention.encodings._positive import softplus_inverse
from attention.heads import at_hand, total_heads
from attention.records import Encoding, EncodingClaims

__all__ = ["alibi_bias", "alibi_sides", "alibi_slopes"]

Form = Literal["symmetric", "asymmetric"]
AnyForm = Literal["symmetric", "asymmetric", "split_heads", "learned", "learned_lr"]


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
    right: Float[Array, " N"] | None = None,
) -> Float[Array, "*#B N T S"]:
    """Linear bias, ``b_h(i, j) = -m_h |i - j|``, which is ALiBi's ``-m_h (i - j)`` wherever a causal mask allows.

    Args:
      q_positions: ``[*#B T]``.
      k_positions: ``[*#B S]``.
      slopes: m, ``[N]``.
      form: ``'symmetric'``, or ``'asymmetric'``, which adds ``0.5 m_h`` for earlier keys (j < i) so that direction shows.
      right: slopes ``[N]`` of later keys (j > i) where they have their own.

    Returns:
      float32 ``[*#B N T S]``, added after scaling.

    Example:
      >>> attention.alibi_bias(jnp.array([2]), jnp.arange(3), jnp.array([0.5]))
      [[[-1.0, -0.5, 0.0]]]

    Source: Press et al. 2021 (arXiv 2108.12409), eq. in section 3, causal. The paper has no bidirectional form; the symmetric
    one is DNABERT-2's and MosaicBERT's, the asymmetric one that of Ruoss et al. 2023 (arXiv 2305.16843).
    """
    bias = _bias(q_positions[..., :, None] - k_positions[..., None, :], slopes, right, form == "asymmetric")
    return jnp.moveaxis(bias, -1, -3)


def _bias(distance: jax.Array, slopes: jax.Array, right: jax.Array | None, asymmetric: bool) -> jax.Array:
    """Distances ``[*A]`` to biases ``[*A N]``."""
    penalty = -jnp.abs(distance).astype(jnp.float32)
    penalty = penalty + 0.5 * (distance > 0) if asymmetric else penalty
    slope = slopes if right is None else jnp.where((distance < 0)[..., None], right, slopes)
    return penalty[..., None] * slope


def alibi_sides(distance: Num[Array, "*A"], num_heads: int) -> Bool[Array, "*A N"]:
    """Who sees whom where heads are split by side: ``Δ >= 0`` for the first half, ``Δ <= 0`` for the second.

    Args:
      distance: Δ = i - j, query minus key.
      num_heads: N, an even number >= 2.

    Returns:
      bool ``[*A N]``: the first N/2 heads see the token itself and earlier ones, the others itself and later ones.

    Raises:
      ValueError: for an odd number of heads.

    Example:
      >>> attention.alibi_sides(jnp.array([-1, 0, 1]), 2)
      [[False, True], [True, True], [True, False]]

    Source: Press et al. 2021 (arXiv 2108.12409); the official repository's notes on encoders, "nonsymmetric".
    """
    if num_heads < 2 or num_heads % 2:
        raise ValueError(f"heads split by side want an even number >= 2, got {num_heads}")
    left = jnp.arange(num_heads) < num_heads // 2
    return jnp.where(left, (distance >= 0)[..., None], (distance <= 0)[..., None])


def build(form: AnyForm = "symmetric") -> Encoding:
    """ALiBi, ``-m_h |Δ|`` with the slopes of the paper; its causal form is ``symmetric`` under a causal mask.

    ``asymmetric`` adds half a slope for earlier keys. ``split_heads``: half of the heads see earlier keys alone and the others
    later keys alone, each half with the paper's slopes for N/2 heads (which slopes is ours to say). ``learned`` has one slope
    per head and layer, ``softplus(ρ_h)``, at the paper's at the start, and ``learned_lr`` one for earlier and one for later
    keys. The paper is causal, and found no gain in learned slopes; the bidirectional forms are of later work.
    Press et al. 2021 (arXiv 2108.12409), Ruoss et al. 2023 (arXiv 2305.16843), x-transformers for learned slopes.
    """
    learned = {"learned": ("slopes",), "learned_lr": ("left", "right")}.get(form, ())

    def init(rng, dims):
        return {name: softplus_inverse(jnp.asarray(alibi_slopes(dims.num_heads))) for name in learned}

    def prepare(params, x, query, key, call):
        """The slopes of earlier and of later keys, None where they are the same."""
        N = total_heads(call, query.shape[-2])
        if learned:
            found = [jax.nn.softplus(params[name]) for name in learned]
            return (), (), (found[0], found[1] if len(found) > 1 else None)
        slopes = np.tile(alibi_slopes(N // 2), 2) if form == "split_heads" and not N % 2 else alibi_slopes(N)
        return (), (), (at_hand(jnp.asarray(slopes), call), None)

    def bias(params, q_features, k_features, slopes, call):
        left, right = slopes
        return by_distance(call, lambda distance: _bias(distance, left, right, form == "asymmetric"))

    def where(params, q_features, k_features, slopes, call):
        return by_distance(call, lambda distance: at_hand(alibi_sides(distance, total_heads(call, slopes[0].shape[0])), call))

    encoding = Encoding(init=init if learned else None, prepare=prepare, bias=bias, claims=EncodingClaims(extrapolates=True))
    return encoding._replace(where=where) if form == "split_heads" else encoding
