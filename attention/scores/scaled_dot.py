"""q·k/√H: the dot product, scaled to unit variance."""

import math

from jaxtyping import Array, Float

from attention.records import Score
from attention.scores.dot import dot_scores

__all__ = ["scaled_dot_scores"]


def scaled_dot_scores(
    query: Float[Array, "*B T N H"], key: Float[Array, "*B S N H"], *, terms: int = 1
) -> Float[Array, "*B N T S"]:
    """Scaled dot products, ``s_ij = q_i·k_j / √(terms·H)``.

    Args:
      query: ``[*B T N H]``.
      key: ``[*B S N H]``.
      terms: how many dot products of this size are summed in all (disentangled encodings add some).

    Returns:
      Scores ``[*B N T S]``, float32 (float64 for float64 inputs).

    Example:
      >>> attention.scaled_dot_scores(jnp.ones((1, 1, 4)), jnp.ones((1, 1, 4)))
      [[[2.0]]]

    Source: Vaswani et al. 2017 (arXiv 1706.03762), eq. 1.
    """
    return dot_scores(query, key, scale=1.0 / math.sqrt(terms * query.shape[-1]))


def build() -> Score:
    """The scaled dot product."""
    return Score(
        # The scale is in the call, where encodings with terms of their own find it too.
        apply=lambda params, query, key, call: dot_scores(query, key, scale=call.scale),
        scaled=True,
        dot_product=True,
    )
