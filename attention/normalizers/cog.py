r"""sign(s) · softmax(|s|): weights of either sign.

```math
a_j = \text{sign}(s_j)\, \frac{e^{|s_j|}}{\sum_k e^{|s_k|}}
```

Softmax of the sizes, with the signs of the scores: a head can subtract what it finds.

When: deletion by negative weight is wanted. Jumps where a score crosses 0, by twice the weight there; the gradient leaves
that out.
Source: Lv et al. 2024 (arXiv 2411.07176).
Family: Signed weights
"""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from attention.normalizers._common import close_weights, exponential_block, open_scores
from attention.normalizers.softmax import softmax
from attention.precision import widen
from attention.records import Normalizer, NormalizerClaims, Streaming

__all__ = ["cog"]


def cog(scores: Float[Array, "*A"], where: Bool[Array, "..."] | None = None, *, axis: int = -1) -> Float[Array, "*A"]:
    """Cog attention weights, ``a_j = sign(s_j) exp(|s_j|) / Σ_k exp(|s_k|)``: a head can subtract what it finds.

    Jumps where a score crosses 0; the gradient leaves the jump out. Derivatives of second order are supported.

    Args:
      scores: ``[..., S]``, any float type; computed in float32 or wider and cast back.
      where: bool, broadcast to ``scores``, True = may attend; None allows all.
      axis: the axis of the keys.

    Returns:
      Weights of either sign, of the shape and type of ``scores``, whose sizes sum to 1 (less the keys with score 0, which get
      0). Masked entries are exactly 0 with gradient exactly 0, and a row without an allowed key is all zeros. A NaN or
      infinity among the allowed scores of a row makes the row NaN.

    Raises:
      ValueError: for a mask that is not boolean or does not broadcast.

    Example:
      >>> attention.cog(jnp.array([1.0, -1.0]))
      [0.5, -0.5]

    Source: Lv et al. 2024 (arXiv 2411.07176), eq. 4.
    """
    z = open_scores(scores, where)
    return close_weights(jnp.sign(z) * softmax(jnp.abs(z), where, axis=axis), scores, where)


def build() -> Normalizer:
    """The softmax of the sizes, with the signs of the scores."""

    def block(params, scores, mask, count, call):
        z = widen(scores) if mask is None else jnp.where(mask, widen(scores), 0.0)
        u, total, top = exponential_block(jnp.abs(z), mask)
        return jnp.sign(z) * u, total, top

    return Normalizer(
        apply=lambda params, scores, mask, call: cog(scores, mask),
        streaming=Streaming(block),
        claims=NormalizerClaims(row_sum="any", exact_zeros=True, signed=True, shift_invariant=False),
    )
