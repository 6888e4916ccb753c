r"""qᵀWk: a learned bilinear form.

```math
s_{ij} = q_i^\top W k_j \;[+\, b]
```

When: query and key come from different spaces, as the states of a decoder and of its source.
Traps: after projections of query and key W adds nothing that they could not learn, only parameters. Rotations turn `Wᵀq` and
k, so that distances still decide. The bias b is lost under a shift-invariant normalizer.
Source: Luong et al. 2015 (arXiv 1508.04025), section 3.1.
Family: Products
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from attention.records import Score
from attention.scores._common import per_head, times, xavier
from attention.scores.dot import dot_factors, dot_scores

__all__ = ["general_scores"]


def general_scores(
    query: Float[Array, "*B T N H"],
    key: Float[Array, "*B S N G"],
    kernel: Float[Array, "N H G"],
    bias: float | Float[Array, " N"] = 0.0,
) -> Float[Array, "*B N T S"]:
    """Bilinear scores, ``s_ij = q_iᵀ W k_j + b``.

    Args:
      query: ``[*B T N H]``.
      key: ``[*B S N G]``.
      kernel: W, ``[N H G]``.
      bias: b, a number or one per head. A normalizer that is shift invariant takes it away.

    Returns:
      Scores ``[*B N T S]``, float32 (float64 for float64 inputs).

    Example:
      >>> attention.general_scores(jnp.ones((1, 1, 2)), jnp.eye(2)[:, None], jnp.array([[[-0.3, 0.5], [2.0, -1.0]]]), 0.1)
      [[[1.8, -0.4]]]

    Source: Luong et al. 2015 (arXiv 1508.04025), section 3.1 "general".
    """
    return dot_scores(times(query, kernel), key) + per_head(bias)


def build(bias: bool = False) -> Score:
    """A matrix ``W [H H]`` per head and layer, Xavier at the start; with ``bias`` a number, 0 at the start.

    Rotations turn ``Wᵀq`` and k.
    """

    def init(rng, dims):
        N, H = dims.num_heads, dims.head_dim
        return {"kernel": xavier(rng, (N, H, H))} | ({"bias": jnp.zeros(N)} if bias else {})

    def project(params, query, key, call):
        return times(query, params["kernel"]), key

    def apply(params, query, key, call):
        scores = dot_scores(query, key, scale=call.scale)
        return scores + per_head(params["bias"]) if bias else scores

    return Score(apply=apply, init=init, project=project, factors=None if bias else dot_factors, dot_product=True)
