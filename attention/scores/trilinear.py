r"""w·[q; k; q⊙k]: query, key and their product, weighted.

```math
s_{ij} = w \cdot [q_i; k_j; q_i \odot k_j]
```

When: reading comprehension as in BiDAF; a product with a weight per channel, beside what `linear` has.
Traps: a shift-invariant normalizer takes away what the first H weights add.
Source: Seo et al. 2016 (BiDAF, arXiv 1611.01603), eq. 1.
Family: Small networks
"""

from jaxtyping import Array, Float

from attention.precision import check_floating
from attention.records import Score
from attention.scores._common import dot_with, xavier_vector
from attention.scores.dot import dot_scores

__all__ = ["trilinear_scores"]


def trilinear_scores(
    query: Float[Array, "*B T N H"], key: Float[Array, "*B S N H"], weight: Float[Array, "N 3*H"]
) -> Float[Array, "*B N T S"]:
    """Trilinear scores, ``s_ij = w·[q_i; k_j; q_i⊙k_j]``.

    Args:
      query: ``[*B T N H]``.
      key: ``[*B S N H]``.
      weight: w, ``[N 3·H]``, for query, key and product. A normalizer that is shift invariant takes away what the first H add.

    Returns:
      Scores ``[*B N T S]``, float32 (float64 for float64 inputs).

    Example:
      >>> attention.trilinear_scores(jnp.full((1, 1, 1), 2.0), jnp.full((1, 1, 1), 3.0), jnp.array([[1.0, 10.0, 100.0]]))
      [[[632.0]]]

    Source: Seo et al. 2016 (BiDAF, arXiv 1611.01603), eq. 1.
    """
    check_floating(query, key)
    H = query.shape[-1]
    of_query, of_key = dot_with(query, weight[:, :H]), dot_with(key, weight[:, H : 2 * H])
    of_both = dot_scores(query * weight[:, 2 * H :].astype(query.dtype), key)
    return of_query[..., :, None] + of_key[..., None, :] + of_both


def build() -> Score:
    """A vector ``w [3H]`` per head and layer, Xavier at the start."""

    def init(rng, dims):
        return {"weight": xavier_vector(rng, dims.num_heads, 3 * dims.head_dim)}

    def apply(params, query, key, call):
        return trilinear_scores(query, key, params["weight"])

    return Score(apply=apply, init=init)
