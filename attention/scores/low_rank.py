r"""(Uq)·(Vk): a bilinear form of low rank.

```math
s_{ij} = (U q_i) \cdot (V k_j)
```

When: as `general`, with 2HR numbers in place of H².
Traps: rotations turn the `rank` dimensions, so a rotary encoding needs an even number of them. It is not scaled.
Source: the factors of Luong et al. 2015 (arXiv 1508.04025), section 3.1.
Family: Products
"""

import jax
from jaxtyping import Array, Float

from attention.records import Score
from attention.scores._common import times, xavier
from attention.scores.dot import dot_factors, dot_scores

__all__ = ["low_rank_scores"]


def low_rank_scores(
    query: Float[Array, "*B T N H"],
    key: Float[Array, "*B S N G"],
    query_kernel: Float[Array, "N H R"],
    key_kernel: Float[Array, "N G R"],
) -> Float[Array, "*B N T S"]:
    """Dot products in R dimensions, ``s_ij = (U q_i)·(V k_j)``, the bilinear form with ``W = UᵀV``.

    Args:
      query: ``[*B T N H]``.
      key: ``[*B S N G]``.
      query_kernel: U, ``[N H R]``.
      key_kernel: V, ``[N G R]``.

    Returns:
      Scores ``[*B N T S]``, float32 (float64 for float64 inputs).

    Example:
      >>> attention.low_rank_scores(jnp.ones((1, 1, 2)), jnp.eye(2)[:, None], jnp.ones((1, 2, 1)), jnp.array([[[3.0], [4.0]]]))
      [[[6.0, 8.0]]]

    Source: the factors of Luong et al. 2015 (arXiv 1508.04025), section 3.1 "general".
    """
    return dot_scores(times(query, query_kernel), times(key, key_kernel))


def build(rank: int = 8) -> Score:
    """Matrices ``U, V [H rank]`` per head and layer, Xavier at the start.

    Rotations turn the ``rank`` dimensions: the rotary encoding wants an even number of them.
    """
    if rank < 1:
        raise ValueError(f"rank must be >= 1, got {rank}")

    def init(rng, dims):
        rng_q, rng_k = jax.random.split(rng)
        shape = (dims.num_heads, dims.head_dim, rank)
        return {"query": xavier(rng_q, shape), "key": xavier(rng_k, shape)}

    def project(params, query, key, call):
        return times(query, params["query"]), times(key, params["key"])

    def apply(params, query, key, call):
        return dot_scores(query, key, scale=call.scale)

    return Score(apply=apply, init=init, project=project, factors=dot_factors, dot_product=True)
