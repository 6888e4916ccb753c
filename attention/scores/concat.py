r"""vᵀ tanh(W[q; k]): one matrix for query and key side by side.

```math
s_{ij} = v^\top \tanh(W [q_i; k_j])
```

When: to reproduce Luong's third score. It is `additive` without a bias, and computed so: no pair is put side by side.
Traps: W starts as one matrix of 2H inputs, `additive` as two of H, so that they start at different sizes.
Source: Luong et al. 2015 (arXiv 1508.04025), section 3.1.
Family: Small networks
"""

import jax
from jaxtyping import Array, Float

from attention.records import Score
from attention.scores._additive import sum_of_tanh
from attention.scores._common import check_hidden, times, units_of, xavier, xavier_vector

__all__ = ["concat_scores"]


def concat_scores(
    query: Float[Array, "*B T N H"],
    key: Float[Array, "*B S N G"],
    kernel: Float[Array, "N H+G A"],
    vector: Float[Array, "N A"],
) -> Float[Array, "*B N T S"]:
    """Scores of query and key side by side, ``s_ij = vᵀ tanh(W [q_i; k_j])``.

    With ``W = [W_q U_k]`` these are additive scores without bias, and computed as such: no pair is ever put side by side.

    Args:
      query: ``[*B T N H]``.
      key: ``[*B S N G]``.
      kernel: W, ``[N H+G A]`` with A hidden units; the first H rows meet the query.
      vector: v, ``[N A]``.

    Returns:
      Scores ``[*B N T S]``, float32 (float64 for float64 inputs); memory as for ``additive_scores``.

    Example:
      >>> attention.concat_scores(jnp.ones((1, 1, 1)), jnp.ones((1, 1, 1)), jnp.ones((1, 2, 1)), jnp.ones((1, 1)))
      [[[0.9640276]]]  # tanh(2)

    Source: Luong et al. 2015 (arXiv 1508.04025), section 3.1 "concat".
    """
    return sum_of_tanh(*_split(query, key, kernel), vector)


def _split(query: jax.Array, key: jax.Array, kernel: jax.Array) -> tuple[jax.Array, jax.Array]:
    H = query.shape[-1]
    return times(query, kernel[:, :H]), times(key, kernel[:, H:])


def build(hidden: int | None = None) -> Score:
    """Concatenation with ``hidden`` units per head (None for the head dimension); Xavier of the whole ``W``."""
    check_hidden(hidden)

    def init(rng, dims):
        N, H, A = dims.num_heads, dims.head_dim, units_of(hidden, dims)
        rng_w, rng_v = jax.random.split(rng)
        return {"kernel": xavier(rng_w, (N, 2 * H, A)), "vector": xavier_vector(rng_v, N, A)}

    def project(params, query, key, call):
        return _split(query, key, params["kernel"])

    def apply(params, query, key, call):
        return sum_of_tanh(query, key, params["vector"])

    return Score(apply=apply, init=init, project=project)
