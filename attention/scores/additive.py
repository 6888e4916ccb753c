r"""vᵀ tanh(Wq + Uk + b): a small network compares query and key.

```math
s_{ij} = v^\top \tanh(W q_i + U k_j + b)
```

When: query and key differ in kind, and the comparison itself is to be learned: the alignments of Bahdanau et al.
Traps: written as one broadcast sum it needs T·S·A numbers. Here one hidden unit is computed at a time and again in the
backward pass, so memory is T·S per head; time is still A times that of a sum.
Source: Bahdanau et al. 2014 (arXiv 1409.0473), appendix A.1.2.
Family: Small networks
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from attention.records import Score
from attention.scores._additive import sum_of_tanh
from attention.scores._common import check_hidden, times, units_of, xavier, xavier_vector

__all__ = ["additive_scores"]


def additive_scores(
    query: Float[Array, "*B T N A"], key: Float[Array, "*B S N A"], vector: Float[Array, "N A"]
) -> Float[Array, "*B N T S"]:
    """Additive scores of projected queries and keys, ``s_ij = Σ_a v_a tanh(q_ia + k_ja)``.

    Args:
      query: ``Wq + b``, ``[*B T N A]`` with A hidden units.
      key: ``Uk``, ``[*B S N A]``.
      vector: v, ``[N A]``.

    Returns:
      Scores ``[*B N T S]``, float32 (float64 for float64 inputs). One hidden unit is computed at a time and recomputed in the
      backward pass, so that memory is T·S per head and never T·S·A.

    Example:
      >>> attention.additive_scores(jnp.zeros((1, 1, 2)), jnp.ones((1, 1, 2)), jnp.ones((1, 2)))
      [[[1.5231884]]]  # 2 tanh(1)

    Source: Bahdanau et al. 2014 (arXiv 1409.0473), appendix A.1.2.
    """
    return sum_of_tanh(query, key, vector)


def build(hidden: int | None = None, bias: bool = True) -> Score:
    """Additive scores with ``hidden`` units per head (None for the head dimension)."""
    check_hidden(hidden)

    def init(rng, dims):
        N, H, A = dims.num_heads, dims.head_dim, units_of(hidden, dims)
        rng_q, rng_k, rng_v = jax.random.split(rng, 3)
        params = {
            "query": xavier(rng_q, (N, H, A)),
            "key": xavier(rng_k, (N, H, A)),
            "vector": xavier_vector(rng_v, N, A),
        }
        return params | {"bias": jnp.zeros((N, A))} if bias else params

    def project(params, query, key, call):
        query, key = times(query, params["query"]), times(key, params["key"])
        return (query + params["bias"].astype(query.dtype) if bias else query), key

    def apply(params, query, key, call):
        return additive_scores(query, key, params["vector"])

    return Score(apply=apply, init=init, project=project)
