r"""Positions counted by gates: a key is as far away as there are keys between that the query finds worth counting.

```math
s_{ij} = \frac{q_i \cdot k_j}{\sqrt H} + q_i \cdot e[p_{ij}],
\quad p_{ij} = \sum_{k=j}^{i} \sigma(q_i \cdot k_k / \sqrt H)
```

A key is as far as there are keys between that the query counts: words, or sentences, as it likes. e is interpolated
between whole p.

Parameters: a table e for all heads (`max_position` 64, 0 at the start), at whose end p stops. The figure has 16 rows,
drawn N(0, 1).
Claim: solves counting, selective copying and flip-flop where positions of tokens fail, also past the training length;
lower perplexity.
Traps: appendix and x-transformers add the term as it is (`scaling=paper`), the repository divides it by √H too
(`official`). Gates must be masked before they are summed. It needs whole rows, and T² sums. Goes by the order of the
array. `direction='both'`, with a second table, is ours.
Source: Golovneva et al. 2024 (arXiv 2405.18719), section 4.
Family: Compared with the content
"""

import math
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from attention.positions import sharding_like
from attention.precision import widen
from attention.records import Encoding, EncodingClaims

__all__ = ["cope_positions", "interpolated"]

Scaling = Literal["paper", "official"]
Direction = Literal["causal", "both"]


def cope_positions(gates: Float[Array, "*B T S"], counted: Bool[Array, "*#B #T #S"]) -> Float[Array, "*B T S"]:
    """Contextual positions, ``p_ij = Σ_{k>=j} g_ik`` over the keys that are counted.

    Args:
      gates: g in [0, 1], ``[*B T S]``.
      counted: which keys a query counts, ``[*#B #T #S]``: those up to itself that are text.

    Returns:
      ``[*B T S]``; of a key that the query itself is, its own gate.

    Example:
      >>> attention.cope_positions(jnp.full((1, 3), 0.5), jnp.array([[True, True, False]]))
      [[1.0, 0.5, 0.0]]

    Source: Golovneva et al. 2024 (arXiv 2405.18719), eq. 3 and 4.
    """
    return _sums_to_the_end(jnp.where(counted, gates, 0.0))


def _sums_to_the_end(x: jax.Array, size: int = 64) -> jax.Array:
    """``Σ_{k>=j} x_k``: blocks times a triangle of ones, plus what comes after them. Twice as fast on a CPU as ``cumsum``."""
    *lead, S = x.shape
    count = -(-S // size)
    blocks = jnp.pad(x, [(0, 0)] * len(lead) + [(0, count * size - S)]).reshape(*lead, count, size)
    within = jnp.matmul(blocks, jnp.tri(size, dtype=x.dtype), precision="highest")
    total = within[..., :1]
    after = jax.lax.cumsum(total, axis=len(lead), reverse=True) - total
    return (within + after).reshape(*lead, count * size)[..., :S]


def interpolated(logits: Float[Array, "*B T P"], positions: Float[Array, "*B T S"]) -> Float[Array, "*B T S"]:
    """Logits between whole positions, ``(1 - w) z_⌊p⌋ + w z_⌊p⌋₊₁`` with ``w = p - ⌊p⌋`` and p at most P - 1.

    Args:
      logits: z of the positions 0 .. P-1, ``[*B T P]``.
      positions: p >= 0, ``[*B T S]``.

    Returns:
      ``[*B T S]``.

    Example:
      >>> attention.interpolated(jnp.array([[1.0, 3.0, 7.0]]), jnp.array([[0.5, 1.25, 9.0]]))
      [[2.0, 4.0, 7.0]]

    Source: Golovneva et al. 2024 (arXiv 2405.18719), eq. 5.
    """
    *lead, P = logits.shape
    rows, S = math.prod(lead), positions.shape[-1]
    p = jnp.minimum(positions, P - 1)
    below = jax.lax.stop_gradient(jnp.floor(p))
    # A logit and the step to the next one are read together: in one gather, whose gradient is one scatter.
    steps = jnp.diff(logits, axis=-1, append=logits[..., -1:])
    pairs = jnp.stack([logits, steps], axis=-1).reshape(rows * P, 2)
    index = P * jnp.arange(rows)[:, None] + below.astype(jnp.int32).reshape(rows, S)
    index = index.ravel()
    found = pairs.at[index].get(mode="promise_in_bounds", out_sharding=sharding_like(index, 1, 2)).reshape(*positions.shape, 2)
    return found[..., 0] + (p - below) * found[..., 1]


def build(max_position: int = 64, scaling: Scaling = "paper", direction: Direction = "causal") -> Encoding:
    """Contextual positions (CoPE): ``q_i·e[p_ij]`` is added to the scores, with ``p_ij = Σ_{k=j}^{i} σ(q_i·k_k·scale)``.

    A table e of ``max_position`` vectors in each layer, shared by the heads, 0 at the start; p stops at its last row. The term
    is added as it is (``scaling='paper'``, appendix B) or times the scale (``'official'``, the authors' repository). Gates are
    those of queries and keys before rotation; padding is not counted, keys that a mask other than the causal one hides are.
    Counts run in the order of the array, whatever the positions.
    ``direction='both'`` is ours and not the paper's: for later keys the sum runs from i to j, with a second table.
    Golovneva et al. 2024 (arXiv 2405.18719), section 4.
    """
    if max_position < 2:
        raise ValueError(f"max_position must be >= 2, got {max_position}")
    names = ("earlier", "later") if direction == "both" else ("earlier",)

    def init(rng, dims):
        return {name: jnp.zeros((max_position, dims.head_dim)) for name in names}

    def prepare(params, x, query, key, call):
        T, S = query.shape[-3], key.shape[-3]
        if T != S:
            raise ValueError(f"cope counts the keys between query and key of one sequence, got {T} queries and {S} keys")
        order = jnp.broadcast_to(jnp.arange(T), query.shape[:-2])
        return (widen(query), order), (widen(key), order), ()

    def bias(params, q_features, k_features, rest, call):
        (query, i), (key, j) = q_features, k_features
        gates = jax.nn.sigmoid(jnp.einsum("...tnh,...snh->...nts", query * call.scale, key))
        ahead = (j[..., None, :] - i[..., :, None])[..., None, :, :]
        text = True if call.k_valid is None else call.k_valid[..., None, None, :]
        scale = call.scale if scaling == "official" else 1.0
        logits = [jnp.einsum("...tnh,ph->...ntp", query * scale, params[name]) for name in names]
        places = cope_positions(gates, (ahead <= 0) & text)
        if direction == "both":
            backwards = cope_positions(gates[..., ::-1], ((ahead >= 0) & text)[..., ::-1])[..., ::-1]
            # The rows of the second table follow those of the first.
            place = lambda p, table: jnp.minimum(p, max_position - 1) + table * max_position
            places = jnp.where(ahead <= 0, place(places, 0), place(backwards, 1))
        return interpolated(jnp.concatenate(logits, axis=-1), places)

    causal = direction != "both"
    return Encoding(
        init=init,
        prepare=prepare,
        bias=bias,
        reads="rows",
        needs_causal=causal,
        whole=True,
        claims=EncodingClaims(extrapolates=causal),
    )
