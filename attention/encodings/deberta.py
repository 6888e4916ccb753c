r"""Learned vectors of clipped or bucketed distances, compared with the query and with the key.

```math
s_{ij} = \frac{q_i \cdot k_j + q_i \cdot (P W^K)_{\delta(i,j)} + k_j \cdot (P W^Q)_{\delta^*}}{\sqrt{3H}}
```

Words look for places and places for words, by two projections of one table of distances.

Parameters: P for all layers, N(0, 0.02) at the start, W^K and W^Q per layer. `buckets='log'` (v2, v3) halves the rows and
reaches `max_distance` = 512; `none` clips (v1). The figure has 32.
Claim: with half of RoBERTa's data better on MNLI, SQuAD and RACE. Logarithmic buckets help longer texts a little; the
paper does not claim it.
Traps: the scale has a 3. δ* is δ(j, i) in the paper and δ(i, j) in both official code and HF, hence in checkpoints:
`p2c='code'` is the default, `'paper'` the other. Absolute positions before the decoder are not here, nor biases of
projections.
Source: He et al. 2020 (arXiv 2006.03654), eq. 2 to 4; He et al. 2021 (arXiv 2111.09543).
Family: Compared with the content
"""

import bisect
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from attention.encodings._distances import relative
from attention.encodings._products import pick, rows_between, times_rows
from attention.positions import check_whole, k_positions, q_positions
from attention.precision import widen
from attention.records import Encoding

__all__ = ["deberta_buckets"]

Buckets = Literal["log", "none"]
PositionToContent = Literal["code", "paper"]


def deberta_buckets(distance: Int[Array, "*A"], *, buckets: int = 256, max_distance: int = 512) -> Int[Array, "*A"]:
    """The bucket of a signed distance r, ``r`` up to ``m = buckets/2``, logarithmic up to ``max_distance``.

    For |r| > m: ``sign(r) · (⌈log(|r|/m) / log((max_distance-1)/m) · (m-1)⌉ + m)``, and ±buckets from ``max_distance`` on.

    Args:
      distance: query position minus key position, any integers.
      buckets: of one direction, even and >= 4.
      max_distance: distance from which all share a bucket, > m + 1.

    Returns:
      Bucket of each, in [-buckets, buckets]. The borders are found in exact integer arithmetic, not with a device's logarithm.

    Raises:
      ValueError: for too few buckets, or a ``max_distance`` not above the exact ones.

    Example:
      >>> attention.deberta_buckets(jnp.array([-600, -200, -3, 128, 129, 511]))
      [-256, -169, -3, 128, 129, 255]

    Source: He et al. 2021 (arXiv 2111.09543) and the official code of DeBERTa v2.
    """
    if buckets < 4 or buckets % 2:
        raise ValueError(f"buckets must be an even number >= 4, got {buckets}")
    if max_distance <= buckets // 2 + 1:
        raise ValueError(f"max_distance must be > {buckets // 2 + 1} with {buckets} buckets, got {max_distance}")
    borders = jnp.asarray(_borders(buckets // 2, max_distance))
    return jnp.sign(distance) * jnp.searchsorted(borders, jnp.abs(distance), side="right", method="compare_all")


def _borders(m: int, max_distance: int) -> np.ndarray:
    """The smallest distance of bucket 1, 2, ... 2m."""
    borders = list(range(1, m + 2))
    for step in range(1, m - 1):
        # log(r/m)/log((M-1)/m)·(m-1) > step  <=>  r^(m-1) > m^(m-1-step) · (M-1)^step, in whole numbers.
        least = m ** (m - 1 - step) * (max_distance - 1) ** step
        borders.append(bisect.bisect_right(range(max_distance), least, lo=borders[-1], key=lambda r: r ** (m - 1)))
    return np.asarray([*borders, max_distance], np.int32)


def build(max_distance: int = 512, buckets: Buckets = "log", p2c: PositionToContent = "code") -> Encoding:
    """Disentangled attention, ``s_ij = [q_i·k_j + q_i·(P W^K)_δ(i,j) + k_j·(P W^Q)_δ*]·scale``, scale 1/√(3H).

    P ``[2K D]`` is shared by the layers, N(0, 0.02) at the start; W^K and W^Q ``[D N H]`` are each layer's.
    ``δ(i,j) = clip(i - j + K, 0, 2K - 1)`` with K = ``max_distance`` for ``buckets='none'`` (v1); for ``'log'`` (v2, v3) it is
    ``clip(bucket(i - j) + K, 0, 2K - 1)`` with K = ``max_distance``/2 buckets, half of them exact.
    δ* is δ(j,i) in the paper and δ(i,j) in the official code, hence in checkpoints.
    He et al. 2020 (arXiv 2006.03654), eq. 2 to 4, He et al. 2021 (arXiv 2111.09543); without biases of the projections, and
    without the decoder's absolute positions.
    """
    if max_distance < 1:
        raise ValueError(f"max_distance must be >= 1, got {max_distance}")
    if buckets == "log" and (max_distance < 8 or max_distance % 4):
        raise ValueError(f"max_distance must be a multiple of 4 and >= 8 with buckets='log', got {max_distance}")
    K = max_distance // 2 if buckets == "log" else max_distance

    def row(distance):
        if buckets == "log":
            distance = deberta_buckets(distance, buckets=K, max_distance=max_distance)
        return jnp.clip(distance, -K, K - 1) + K

    def row_of_key(distance):  # δ* of i - j
        return row(distance if p2c == "code" else -distance)

    def shared(rng, dims):
        return {"table": 0.02 * jax.random.normal(rng, (2 * K, dims.model_dim))}

    def init(rng, dims):
        D, N, H = dims.model_dim, dims.num_heads, dims.head_dim
        into = jax.nn.initializers.lecun_normal(in_axis=0, out_axis=(1, 2))
        return {name: into(key, (D, N, H)) for name, key in zip(("key", "query"), jax.random.split(rng))}

    def prepare(params, x, query, key, call):
        i, j = q_positions(call, query.shape[-3]), k_positions(call, key.shape[-3])
        check_whole("deberta", i, j)
        project = lambda name: jnp.einsum("rd,dnh->rnh", params["table"], params[name]) * call.scale
        of_query, of_key = project("key"), project("query")
        query, key = widen(query), widen(key)
        if call.consecutive is True:
            between = rows_between(i, j, lambda d: of_query[row(-d)]), rows_between(j, i, lambda d: of_key[row_of_key(d)])
            return query, key, between
        times = lambda x, rows: jnp.einsum("...tnh,rnh->...tnr", x, rows)
        return times(query, of_query), times(key, of_key), ()

    def bias(params, q_features, k_features, rest, call):
        i, j = call.q_positions, call.k_positions
        if call.consecutive is True:
            to_position, from_position = times_rows(q_features, rest[0], i, j), times_rows(k_features, rest[1], j, i)
        else:
            distance = -relative(call, i.shape[-1], j.shape[-1])
            to_position = pick(q_features, row(distance))
            from_position = pick(k_features, jnp.swapaxes(row_of_key(distance), -1, -2))
        return to_position + jnp.swapaxes(from_position, -1, -2)

    return Encoding(shared=shared, init=init, prepare=prepare, bias=bias, terms=3)
