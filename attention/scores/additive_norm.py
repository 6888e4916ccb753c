r"""g·(v/|v|)ᵀ tanh(Wq + Uk + b): additive scores whose size is a parameter of its own.

```math
s_{ij} = g\, \frac{v^\top}{|v|} \tanh(W q_i + U k_j + b)
```

When: as `additive`, with a size of the scores that is learned apart from their direction.
Traps: scores lie within ±g√A; g starts at √(1/A), so at the start within ±1.
Source: Salimans and Kingma 2016 (arXiv 1602.07868), eq. 2, of v in Bahdanau et al. 2014 (arXiv 1409.0473).
Family: Small networks
"""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from attention.records import Score
from attention.scores._additive import sum_of_tanh
from attention.scores._common import check_hidden, times, units_of, xavier, xavier_vector
from attention.scores.cosine import unit

__all__ = ["additive_norm_scores"]


def additive_norm_scores(
    query: Float[Array, "*B T N A"],
    key: Float[Array, "*B S N A"],
    vector: Float[Array, "N A"],
    gain: float | Float[Array, " N"] = 1.0,
) -> Float[Array, "*B N T S"]:
    """Additive scores with a normalised vector, ``s_ij = g Σ_a (v_a/|v|) tanh(q_ia + k_ja)``.

    Args:
      query: ``Wq + b``, ``[*B T N A]`` with A hidden units.
      key: ``Uk``, ``[*B S N A]``.
      vector: v, ``[N A]``; its length changes nothing, and a zero vector scores 0.
      gain: g, a number or one per head.

    Returns:
      Scores ``[*B N T S]`` in [-g√A, g√A], float32 (float64 for float64 inputs); memory as for ``additive_scores``.

    Example:
      >>> attention.additive_norm_scores(jnp.zeros((1, 1, 2)), jnp.ones((1, 1, 2)), jnp.array([[3.0, 4.0]]))
      [[[1.0662318]]]  # (0.6 + 0.8) tanh(1)

    Source: Salimans and Kingma 2016 (arXiv 1602.07868), eq. 2, of v in Bahdanau et al. 2014 (arXiv 1409.0473).
    """
    return sum_of_tanh(query, key, unit(vector) * jnp.reshape(jnp.asarray(gain), (-1, 1)))


def build(hidden: int | None = None) -> Score:
    """Additive scores with ``hidden`` units per head (None for the head dimension) and a gain per head, √(1/A) at the start."""
    check_hidden(hidden)

    def init(rng, dims):
        N, H, A = dims.num_heads, dims.head_dim, units_of(hidden, dims)
        rng_q, rng_k, rng_v = jax.random.split(rng, 3)
        return {
            "query": xavier(rng_q, (N, H, A)),
            "key": xavier(rng_k, (N, H, A)),
            "bias": jnp.zeros((N, A)),
            "vector": xavier_vector(rng_v, N, A),
            "gain": jnp.full(N, math.sqrt(1 / A)),
        }

    def project(params, query, key, call):
        return times(query, params["query"]) + params["bias"].astype(query.dtype), times(key, params["key"])

    def apply(params, query, key, call):
        return additive_norm_scores(query, key, params["vector"], params["gain"])

    return Score(apply=apply, init=init, project=project)
