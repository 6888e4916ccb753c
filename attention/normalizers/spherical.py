r"""s² / Σ s²: the spherical softmax, without an exponential.

```math
a_j = s_j^2 / \textstyle\sum_k s_k^2
```

Squares; the sign and the scale of the scores do not matter.

When: seldom in attention, where a negative score should mean no. Temperature has no effect. It was made, as `taylor` was,
for output layers, whose weights can then be updated at a cost that does not depend on the number of classes.
Source: de Brébisson & Vincent 2015 (arXiv 1511.05042).
Family: Without the exponential
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from attention.normalizers._common import close_weights, divide, open_scores
from attention.records import Normalizer, NormalizerClaims

__all__ = ["spherical"]


def spherical(scores: Float[Array, "*A"], where: Bool[Array, "..."] | None = None, *, axis: int = -1) -> Float[Array, "*A"]:
    """Spherical softmax, ``a_j = s_j² / Σ_k s_k²``.

    Scaling all scores changes nothing, their signs neither; shifts do. A row of zeros has zero weights. Derivatives of second
    order are supported.

    Args:
      scores: ``[..., S]``, any float type; computed in float32 or wider and cast back.
      where: bool, broadcast to ``scores``, True = may attend; None allows all.
      axis: the axis of the keys.

    Returns:
      Weights in [0, 1] of the shape and type of ``scores``; rows sum to 1 unless all scores are 0, masked entries are exactly 0
      with gradient exactly 0, and a row without an allowed key is all zeros. A NaN or infinity among the allowed scores of a
      row makes the row NaN.

    Raises:
      ValueError: for a mask that is not boolean or does not broadcast.

    Example:
      >>> attention.spherical(jnp.array([1.0, -2.0]))
      [0.2, 0.8]

    Source: de Brébisson & Vincent 2015 (arXiv 1511.05042), section 3.1. A guard for rows of zeros takes the place of their ε.
    """
    z = open_scores(scores, where)
    # Scaled by the largest, which cancels, so that no square leaves the range of floats.
    size = jax.lax.stop_gradient(jnp.max(jnp.abs(z), axis=axis, keepdims=True, initial=0.0))
    squares = jnp.square(z / jnp.where(size == 0.0, 1.0, size))
    return close_weights(divide(squares, jnp.sum(squares, axis=axis, keepdims=True)), scores, where)


def build() -> Normalizer:
    """Squares divided by their sum."""
    return Normalizer(
        apply=lambda params, scores, mask, call: spherical(scores, mask),
        claims=NormalizerClaims(row_sum="at most one", exact_zeros=True, shift_invariant=False),
    )
