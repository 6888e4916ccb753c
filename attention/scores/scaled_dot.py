r"""q·k/√H: the dot product, scaled to unit variance.

```math
s_{ij} = \frac{q_i \cdot k_j}{\sqrt{\text{terms} \cdot H}}
```

When: the default. `learned_scale=True` gives each head a gain, 1 at the start.
Traps: encodings that add products of their own (`deberta`, `tupe`) count in the scale; a learned gain is that of q·k alone.
Source: Vaswani et al. 2017 (arXiv 1706.03762), eq. 1.
Family: Products
"""

import math

import jax.numpy as jnp
from jaxtyping import Array, Float

from attention.records import Score
from attention.scores._common import per_head
from attention.scores.dot import dot_factors, dot_scores

__all__ = ["scaled_dot_scores"]


def scaled_dot_scores(
    query: Float[Array, "*B T N H"],
    key: Float[Array, "*B S N H"],
    gain: float | Float[Array, " N"] = 1.0,
    *,
    terms: int = 1,
) -> Float[Array, "*B N T S"]:
    """Scaled dot products, ``s_ij = g · q_i·k_j / √(terms·H)``.

    Args:
      query: ``[*B T N H]``.
      key: ``[*B S N H]``.
      gain: g, a number or one per head.
      terms: how many dot products of this size are summed in all (disentangled encodings add some).

    Returns:
      Scores ``[*B N T S]``, float32 (float64 for float64 inputs).

    Example:
      >>> attention.scaled_dot_scores(jnp.ones((1, 1, 4)), jnp.ones((1, 1, 4)))
      [[[2.0]]]

    Source: Vaswani et al. 2017 (arXiv 1706.03762), eq. 1.
    """
    return dot_scores(query, key, scale=1.0 / math.sqrt(terms * query.shape[-1])) * per_head(gain)


def build(learned_scale: bool = False) -> Score:
    """The scaled dot product; with ``learned_scale`` times a gain per head and layer, 1 at the start.

    The scale learned is ``g/√(terms·H)`` of q·k alone: what an encoding adds keeps the fixed scale.
    """

    def init(rng, dims):
        return {"gain": jnp.ones(dims.num_heads)}

    # The scale is in the call, where encodings with terms of their own find it too.
    def apply(params, query, key, call):
        scores = dot_scores(query, key, scale=call.scale)
        return scores * per_head(params["gain"]) if learned_scale else scores

    def factors(params, query, key, call):
        query, key = dot_factors(params, query, key, call)
        return query * params["gain"][:, None].astype(query.dtype) if learned_scale else query, key

    return Score(apply=apply, init=init if learned_scale else None, factors=factors, scaled=True, dot_product=True)
