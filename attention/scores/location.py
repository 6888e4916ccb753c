"""(Wq)_j: the query says which positions it wants, whatever is there.

```math
s_{ij} = (W q_i)_j
```

When: the target runs along with the source, so that a place can be asked for whatever is there.
Traps: a row per position: longer texts are refused (NaN under `jit`). Keys are not read and get no projection.
Source: Luong et al. 2015 (arXiv 1508.04025), section 3.1.
Family: By position
"""

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from attention.placement import placed
from attention.positions import check_length, k_positions, table_length
from attention.records import Score
from attention.scores._common import xavier
from attention.scores._tables import OWNER, inside, or_nan, rows
from attention.scores.dot import dot_scores

__all__ = ["location_scores"]


def location_scores(
    query: Float[Array, "*B T N H"], table: Float[Array, "N L H"], positions: Int[Array, "*#B S"]
) -> Float[Array, "*B N T S"]:
    """Scores by the key's position alone, ``s_ij = (W q_i)_{p_j}``.

    Args:
      query: ``[*B T N H]``.
      table: W, ``[N L H]``: a row per position.
      positions: p, of the keys ``[*#B S]``.

    Returns:
      Scores ``[*B N T S]``, float32 (float64 for float64 inputs); under a trace, NaN for keys at positions outside ``[0, L)``.

    Raises:
      ValueError: for a position outside ``[0, L)``, where positions are concrete.

    Example:
      >>> attention.location_scores(jnp.ones((1, 1, 2)), jnp.array([[[1.0, 2.0], [3.0, 4.0]]]), jnp.array([1, 0]))
      [[[7.0, 3.0]]]

    Source: Luong et al. 2015 (arXiv 1508.04025), section 3.1 "location".
    """
    return or_nan(dot_scores(query, _keys(table, positions, query)), inside(positions, table.shape[1])[..., None, None, :])


def _keys(table, positions, query):
    """The rows that stand for keys, ``[*B S N H]``."""
    batch, (N, _, H) = query.shape[:-3], table.shape
    return placed(jnp.broadcast_to(rows(table, positions), (*batch, positions.shape[-1], N, H)), query, len(batch))


def build() -> Score:
    """A table ``W [L H]`` per head and layer, L the longest sequence of the model, Xavier at the start.

    The keys are not read, and the model has no projection for them where nothing else reads it.
    """

    def init(rng, dims):
        return {"table": xavier(rng, (dims.num_heads, table_length("a score by position", dims.max_length), dims.head_dim))}

    # The rows are looked up once for the whole sequence and cut into blocks as keys are.
    def project(params, query, key, call):
        table = params["table"]
        check_length(OWNER, table.shape[1], key.shape[-3])
        keys = _keys(table, k_positions(call, key.shape[-3]), query)
        return query, keys.astype(query.dtype)

    def apply(params, query, key, call):
        known = inside(k_positions(call, key.shape[-3]), params["table"].shape[1])
        return or_nan(dot_scores(query, key, scale=call.scale), known[..., None, None, :])

    return Score(apply=apply, init=init, project=project, uses=("query",), max_length="dims")
