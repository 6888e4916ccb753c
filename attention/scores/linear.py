r"""w·[q; k] + b: query and key are judged apart, and the two judgements added.

```math
s_{ij} = w \cdot [q_i; k_j] + b
```

When: the score of a key does not depend on who asks: a baseline for what comparing gains.
Traps: what the query and b add is the same for all keys, so a shift-invariant normalizer takes it away, gradients with it.
Source: Gardner et al. 2018 (AllenNLP, arXiv 1803.07640), `LinearAttention`.
Family: Small networks
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from attention.records import Score
from attention.scores._common import dot_with, per_head, xavier_vector

__all__ = ["linear_scores"]


def linear_scores(
    query: Float[Array, "*B T N H"],
    key: Float[Array, "*B S N G"],
    weight: Float[Array, "N H+G"],
    bias: float | Float[Array, " N"] = 0.0,
) -> Float[Array, "*B N T S"]:
    """Linear scores, ``s_ij = w·[q_i; k_j] + b``.

    What query and bias add is one number for all keys: a normalizer that is shift invariant takes it away, and they get no
    gradient through it.

    Args:
      query: ``[*B T N H]``.
      key: ``[*B S N G]``.
      weight: w, ``[N H+G]``; the first H meet the query.
      bias: b, a number or one per head.

    Returns:
      Scores ``[*B N T S]``, float32 (float64 for float64 inputs).

    Example:
      >>> attention.linear_scores(jnp.ones((1, 1, 1)), jnp.ones((1, 1, 1)), jnp.array([[2.0, 3.0]]), 0.5)
      [[[5.5]]]

    Source: AllenNLP (Gardner et al. 2018, arXiv 1803.07640), ``LinearAttention``.
    """
    H = query.shape[-1]
    of_query, of_key = dot_with(query, weight[:, :H]), dot_with(key, weight[:, H:])
    return of_query[..., :, None] + of_key[..., None, :] + per_head(bias)


def build() -> Score:
    """A vector ``w [2H]``, Xavier at the start, and a number b per head and layer."""

    def init(rng, dims):
        return {"weight": xavier_vector(rng, dims.num_heads, 2 * dims.head_dim), "bias": jnp.zeros(dims.num_heads)}

    def apply(params, query, key, call):
        return linear_scores(query, key, params["weight"], params["bias"])

    return Score(apply=apply, init=init)
