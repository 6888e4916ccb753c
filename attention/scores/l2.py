r"""-|q - k|²/√H: the nearer, the higher.

```math
s_{ij} = -\frac{|q_i - k_j|^2}{\sqrt{\text{terms} \cdot H}}
```

When: near means alike. With tied projections, which are not here, attention becomes Lipschitz.
Traps: distances are computed as |q|² + |k|² - 2 q·k, so the error of a score is a rounding of the lengths, not of the
distance. Every score is at most 0 (up to that rounding), which a normalizer without shift invariance sees.
Source: Kim et al. 2020 (arXiv 2006.04710), section 3.2.
Family: Products
"""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from attention.records import Score

__all__ = ["l2_scores"]


def l2_scores(query: Float[Array, "*B T N H"], key: Float[Array, "*B S N H"], *, terms: int = 1) -> Float[Array, "*B N T S"]:
    """Negative squared distances, ``s_ij = -|q_i - k_j|² / √(terms·H)``.

    Args:
      query: ``[*B T N H]``.
      key: ``[*B S N H]``.
      terms: how many scores of this size are summed in all (disentangled encodings add some).

    Returns:
      Scores ``[*B N T S]``, float32 (float64 for float64 inputs). Distances are ``|q|² + |k|² - 2 q·k``, so that the error of a
      score is a rounding of the lengths and not of the distance: in float32 it stays below ``1.2·10⁻⁷ (|q|² + |k|²)``, and a
      score may be that much above 0.

    Example:
      >>> attention.l2_scores(jnp.zeros((1, 1, 4)), jnp.ones((1, 1, 4)))
      [[[-2.0]]]

    Source: Kim et al. 2020 (arXiv 2006.04710), section 3.2, without the tied projections that make it Lipschitz.
    """
    return -_squared_distances(query, key) / math.sqrt(terms * query.shape[-1])


def _squared_distances(query: jax.Array, key: jax.Array) -> jax.Array:
    wide = jnp.promote_types(query.dtype, jnp.float32)
    square = lambda x: jnp.swapaxes(jnp.sum(jnp.square(x.astype(wide)), axis=-1), -1, -2)  # [*B T N H] to [*B N T]
    # Products as exact as the squares they are subtracted from: devices that round them further would leave the difference.
    product = jnp.einsum("...tnh,...snh->...nts", query, key, preferred_element_type=wide, precision=jax.lax.Precision.HIGHEST)
    return square(query)[..., :, None] + square(key)[..., None, :] - 2 * product


def build() -> Score:
    """The negative squared distance, divided by √H. Rotations keep the lengths and turn q·k."""

    def apply(params, query, key, call):
        return -call.scale * _squared_distances(query, key)

    return Score(apply=apply, scaled=True, dot_product=True)
