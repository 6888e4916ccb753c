r"""The matrix of distances: as a bias with a learned slope, as rows of a learned table, or as it is.

```math
b_{ij} = -s_h |i - j|, \quad \text{or } -|i - j|, \quad \text{or } q_i \cdot E_{\min(|i-j|, K)} / \sqrt H
```

The matrix of distances: with a learned slope per head (`form=bias`), as it is (`raw`), or as rows of a table
(`embedding`).

Parameters: slopes, 0 at the start; `raw` has none; `embedding` has K + 1 vectors (K = `max_distance`, 16) for all heads,
N(0, 0.02) at the start.
Claim: none. With ALiBi's slopes `bias` is ALiBi's symmetric form; `embedding` is Shaw's keys without direction.
Traps: `raw` costs a neighbour a factor e and a key ten tokens away e¹⁰: attention is local from the start. Slopes may
turn negative (head 3 of the figure), and then far keys win. All three are blind to direction.
Source: a form of tutorials; Shaw et al. 2018 (arXiv 1803.02155) for the table.
Family: Forms of tutorials
"""

from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Num

from attention.encodings._distances import by_distance, relative
from attention.encodings._embeddings import check_scale
from attention.encodings._products import pick, rows_between, times_rows
from attention.positions import check_whole, k_positions, q_positions
from attention.precision import widen
from attention.records import Encoding

__all__ = ["rel_matrix"]

Form = Literal["bias", "embedding", "raw"]
CLIP = 16


def rel_matrix(q_positions: Num[Array, "*#B T"], k_positions: Num[Array, "*#B S"]) -> Num[Array, "*#B T S"]:
    """The matrix of distances, ``R_ij = |i - j|``, blind to direction.

    Args:
      q_positions: i, ``[*#B T]``.
      k_positions: j, ``[*#B S]``.

    Returns:
      ``[*#B T S]`` of the type of the positions.

    Example:
      >>> attention.rel_matrix(jnp.array([0, 2]), jnp.arange(3))
      [[0, 1, 2], [2, 1, 0]]

    Source: a form of tutorials; as a bias with fixed slopes it is ALiBi's symmetric form.
    """
    return jnp.abs(q_positions[..., :, None] - k_positions[..., None, :])


def build(form: Form = "bias", max_distance: int = CLIP, scale: float = 1.0) -> Encoding:
    """Distances R on the scores, times ``scale``.

    ``'bias'`` adds ``-s_h R_ij`` with one slope per head and layer, 0 at the start, and ``'raw'`` adds ``-R_ij``.
    ``'embedding'`` adds ``q_i·E[min(R_ij, K)]``, scaled as q·k is, with a table of K + 1 = ``max_distance`` + 1 rows per layer,
    shared by the heads, N(0, 0.02) at the start: Shaw's keys (Shaw et al. 2018, arXiv 1803.02155) without direction.
    """
    check_scale(scale)
    if max_distance < 1:
        raise ValueError(f"max_distance must be >= 1, got {max_distance}")
    if form != "embedding" and max_distance != CLIP:
        raise ValueError(f"max_distance is for form='embedding', got form={form!r}")
    if form == "embedding":
        return _embedding(max_distance, scale)

    def init(rng, dims):
        return {"slopes": jnp.zeros(dims.num_heads)}

    def bias(params, q_features, k_features, rest, call):
        slopes = scale * (jnp.ones(1) if form == "raw" else params["slopes"])
        return by_distance(call, lambda distance: -jnp.abs(distance).astype(jnp.float32)[..., None] * slopes)

    return Encoding(init=None if form == "raw" else init, bias=bias)


def _embedding(max_distance: int, scale: float) -> Encoding:
    rows = max_distance + 1

    def init(rng, dims):
        return {"table": 0.02 * jax.random.normal(rng, (rows, dims.head_dim))}

    row_of = lambda distance: jnp.minimum(jnp.abs(distance), max_distance)

    def prepare(params, x, query, key, call):
        i, j = q_positions(call, query.shape[-3]), k_positions(call, key.shape[-3])
        check_whole("rel_matrix", i, j)
        N, table = query.shape[-2], params["table"] * (scale * call.scale)
        if call.consecutive is True:
            of_heads = jnp.broadcast_to(table[:, None, :], (rows, N, table.shape[-1]))
            return widen(query), (), rows_between(i, j, lambda distance: of_heads[row_of(distance)])
        return jnp.einsum("...tnh,rh->...tnr", widen(query), table), (), ()

    def bias(params, q_features, k_features, rest, call):
        i, j = call.q_positions, call.k_positions
        if call.consecutive is True:
            return times_rows(q_features, rest, i, j)
        return pick(q_features, row_of(relative(call, i.shape[-1], j.shape[-1])))

    return Encoding(init=init, prepare=prepare, bias=bias)
