r"""Scores without keys: a layer on the query with an output per position, or a random matrix.

```math
\text{dense: } s_{ij} = (W_2\, \mathrm{relu}(q_i) + b_2)_j, \qquad \text{random: } s_{ij} = R_{ij}
```

When: to ask how much of attention is comparing at all.
Traps: a row per position: longer texts are refused (NaN under `jit`). Whatever is not read, keys or both, has no projection.
The published layer is [`mixer=synthesizer`](mixers.md#synthesizer).
Source: Tay et al. 2020 (arXiv 2005.00743), with an output layer per head.
Family: By position
"""

import math
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from attention.placement import placed
from attention.positions import check_length, k_positions, q_positions, table_length
from attention.records import Score
from attention.scores._common import xavier
from attention.scores._tables import OWNER, inside, or_nan, rows
from attention.scores.dot import dot_scores
from attention.scores.location import location_scores

__all__ = ["dense_synthesizer_scores", "random_synthesizer_scores"]


def dense_synthesizer_scores(
    hidden: Float[Array, "*B T N A"],
    table: Float[Array, "N L A"],
    bias: Float[Array, "N L"],
    positions: Int[Array, "*#B S"],
) -> Float[Array, "*B N T S"]:
    """The second layer of a network with an output per position, ``s_ij = (W₂ relu(h_i) + b₂)_{p_j}``.

    Args:
      hidden: h, its first layer before the activation ``[*B T N A]``; in a model the projected queries.
      table: W₂, ``[N L A]``: a row per position.
      bias: b₂, ``[N L]``.
      positions: p, of the keys ``[*#B S]``.

    Returns:
      Scores ``[*B N T S]``, float32 (float64 for float64 inputs); under a trace, NaN for keys at positions outside ``[0, L)``.

    Raises:
      ValueError: for a position outside ``[0, L)``, where positions are concrete.

    Example:
      >>> attention.dense_synthesizer_scores(jnp.array([[[2.0, -3.0]]]), jnp.eye(2)[None], jnp.ones((1, 2)), jnp.arange(2))
      [[[3.0, 1.0]]]

    Source: Tay et al. 2020 (arXiv 2005.00743), "dense synthesizer", with an output layer per head.
    """
    return location_scores(jax.nn.relu(hidden), table, positions) + _per_key(bias, positions)


def random_synthesizer_scores(
    table: Float[Array, "N L L"], q_positions: Int[Array, "*#B T"], k_positions: Int[Array, "*#B S"]
) -> Float[Array, "*B N T S"]:
    """Scores by the two positions alone, ``s_ij = R[p_i, p_j]``.

    Args:
      table: R, ``[N L L]``.
      q_positions: of the queries ``[*#B T]``.
      k_positions: of the keys ``[*#B S]``.

    Returns:
      Scores ``[*B N T S]``, of the type of ``table``; under a trace, NaN where a position is outside ``[0, L)``.

    Raises:
      ValueError: for a position outside ``[0, L)``, where positions are concrete.

    Example:
      >>> attention.random_synthesizer_scores(jnp.array([[[1.0, 2.0], [3.0, 4.0]]]), jnp.array([1]), jnp.array([1, 0]))
      [[[4.0, 3.0]]]

    Source: Tay et al. 2020 (arXiv 2005.00743), "random synthesizer".
    """
    L = table.shape[1]
    known = inside(q_positions, L)[..., :, None] & inside(k_positions, L)[..., None, :]
    index = jnp.where(known, q_positions[..., :, None] * L + k_positions[..., None, :], 0)
    return or_nan(jnp.moveaxis(table.reshape(table.shape[0], L * L)[:, index], 0, -3), known[..., None, :, :])


def _per_key(bias: jax.Array, positions: jax.Array) -> jax.Array:
    """``[*#B N 1 S]`` of a bias ``[N L]``."""
    return jnp.swapaxes(rows(bias, positions), -1, -2)[..., None, :]


def build(form: Literal["dense", "random"] = "dense", trainable: bool = True) -> Score:
    """Tay et al.'s synthesizers for sequences up to the longest of the model, L, per head and layer.

    ``'dense'``: the projected queries are the hidden layer, ``W₂ [L H]`` is Xavier at the start and ``b₂ [L]`` zero.
    ``'random'``: ``R [L L]``, N(0, 1) at the start, which is also where it stays with ``trainable=False``. What is not read
    (keys; with ``'random'`` queries too) has no projection in the model where nothing else reads it.
    """
    if form == "random":
        return _random(trainable)
    if not trainable:
        raise ValueError(f"trainable=False is for form='random', got form={form!r}")

    def init(rng, dims):
        N, L = dims.num_heads, table_length("a score by position", dims.max_length)
        return {"table": xavier(rng, (N, L, dims.head_dim)), "bias": jnp.zeros((N, L))}

    def project(params, query, key, call):
        S, table = key.shape[-3], params["table"]
        check_length(OWNER, table.shape[1], S)
        keys = jnp.broadcast_to(rows(table, k_positions(call, S)), (*key.shape[:-1], table.shape[-1]))
        return jax.nn.relu(query), placed(keys.astype(query.dtype), query, query.ndim - 3)

    def apply(params, query, key, call):
        positions, bias = k_positions(call, key.shape[-3]), params["bias"]
        known = inside(positions, bias.shape[1])[..., None, None, :]
        return or_nan(dot_scores(query, key, scale=call.scale) + _per_key(bias, positions), known)

    return Score(apply=apply, init=init, project=project, uses=("query",), max_length="dims")


def _random(trainable: bool) -> Score:
    def init(rng, dims):
        N, L = dims.num_heads, table_length("a score by position", dims.max_length)
        table = jax.random.normal(rng, (N, L, L))
        # A vector to the optimizer: without a gradient, weight decay would still move a matrix.
        return {"table": table} if trainable else {"fixed": table.ravel()}

    def table_of(params, heads):
        if trainable:
            return params["table"]
        flat = jax.lax.stop_gradient(params["fixed"])
        return flat.reshape(heads, math.isqrt(flat.size // heads), -1)

    def project(params, query, key, call):
        check_length(OWNER, table_of(params, query.shape[-2]).shape[1], max(query.shape[-3], key.shape[-3]))
        return query, key

    def apply(params, query, key, call):
        *batch, T, N, _ = query.shape
        S = key.shape[-3]
        table = table_of(params, N)
        scores = random_synthesizer_scores(table, q_positions(call, T), k_positions(call, S))
        return jnp.broadcast_to(scores, (*batch, N, T, S))

    return Score(apply=apply, init=init, project=project, uses=(), max_length="dims")
