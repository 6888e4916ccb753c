r"""Linformer: keys and values of the whole sequence are projected onto a few, by matrices over positions.

```math
\mathrm{softmax}\big(Q\, (E^\top K)^\top / \sqrt H\big)\, F^\top V
```

E and F are L × R, shared by heads, U(±1/√R) at the start; `share=kv` is E = F.

Parameters: 4(D² + D) + 2·L·R (shared: L·R)
Cost in T: T·R
Padding: keys and values of padding are zeroed, or E would let them through.
Traps: all R projections are attended by a text of any length, and positions past L have no row: refused. No causal form: a
projection mixes the whole text.
Source: Wang et al. 2020 (arXiv 2006.04768), eq. 7.
"""

import math
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from attention.attend import parts_of, run
from attention.mixers._heads import check_heads, init_heads, merge, triple, without_padding
from attention.normalizers.softmax import softmax
from attention.positions import check_length, places, rows, table_length
from attention.precision import check_floating
from attention.records import Call, Mixer

__all__ = ["linformer_attention", "linformer_project"]


def linformer_project(
    x: Float[Array, "*B S N H"], table: Float[Array, "*#B L R"], where: Bool[Array, "*#B S"] | None = None
) -> Float[Array, "*B R N H"]:
    """Keys or values projected along the sequence, ``y_r = Σ_s E_sr x_s``.

    Args:
      x: ``[*B S N H]``.
      table: E, ``[*#B L R]`` with a row per token at least.
      where: bool ``[*#B S]``, the tokens that count; the others are zeros, or they would leak. None for all.

    Returns:
      ``[*B R N H]``.

    Raises:
      ValueError: for more tokens than rows.

    Example:
      >>> attention.linformer_project(jnp.array([[[1.0]], [[2.0]]]), jnp.array([[1.0], [3.0]]))
      [[[7.0]]]

    Source: Wang et al. 2020 (arXiv 2006.04768), eq. 7.
    """
    S = x.shape[-3]
    check_length("the mixer", table.shape[-2], S)
    return jnp.einsum("...sr,...snh->...rnh", table[..., :S, :].astype(x.dtype), without_padding(x, where))


def linformer_attention(
    query: Float[Array, "*B T N H"],
    key: Float[Array, "*B S N H"],
    value: Float[Array, "*B S N H"],
    k_table: Float[Array, "*#B L R"],
    v_table: Float[Array, "*#B L R"],
    where: Bool[Array, "*#B S"] | None = None,
) -> Float[Array, "*B T N H"]:
    """Attention on projected keys and values, ``O = softmax(Q (EᵀK)ᵀ / √H) FᵀV``.

    Args:
      query: ``[*B T N H]``.
      key: ``[*B S N H]``.
      value: ``[*B S N H]``.
      k_table: E, ``[*#B L R]``.
      v_table: F, ``[*#B L R]``.
      where: bool ``[*#B S]``, the keys that count; None for all.

    Returns:
      ``[*B T N H]`` of the type of ``value``; zeros where no key counts. All R projections are attended always.

    Raises:
      ValueError: for more tokens than the tables have rows.

    Example:
      >>> attention.linformer_attention(jnp.zeros((1, 1, 1)), *[jnp.array([[[1.0]], [[3.0]]])] * 2, *[jnp.eye(2)] * 2)
      [[[2.0]]]

    Source: Wang et al. 2020 (arXiv 2006.04768), eq. 7.
    """
    check_floating(query, key, value)
    keys, values = linformer_project(key, k_table, where), linformer_project(value, v_table, where)
    scores = jnp.einsum("...tnh,...rnh->...ntr", query, keys, preferred_element_type=jnp.float32)
    weights = softmax(scores / math.sqrt(query.shape[-1]))
    return jnp.einsum("...ntr,...rnh->...tnh", weights.astype(value.dtype), values)


def build(
    heads: int = 4,
    head_dim: int | None = None,
    bias: bool = True,
    rank: int = 64,
    share: Literal["none", "kv"] = "none",
) -> Mixer:
    """Linformer with R = ``rank`` projections of up to L tokens; 4(D² + D) + 2·L·R parameters.

    E and F are shared by the heads of a layer; with ``share='kv'`` they are one matrix, L·R. They start as U(±1/√R), as in the
    code of the ``linformer`` package. L is the longest text of the model: longer ones are refused. Padding is zeroed first.
    Whatever normalizer is named makes the weights of the R projections; there is no causal form.
    """
    check_heads(heads, head_dim=head_dim, rank=rank)
    names = ("key_table", "value_table") if share == "none" else ("table",)

    def init(rng, dims):
        L = table_length("linformer", dims.max_length)
        bound = 1.0 / math.sqrt(rank)
        rngs = jax.random.split(jax.random.fold_in(rng, 1), len(names))
        tables = {name: jax.random.uniform(r, (L, rank), minval=-bound, maxval=bound) for name, r in zip(names, rngs)}
        return {**init_heads(rng, dims, bias=bias), **tables}

    def apply(params, x, context, call):
        query, key, value = triple(params, x, context)
        S = key.shape[-3]
        check_length("the mixer", params[names[0]].shape[0], S)
        at = places("the mixer", params[names[0]].shape[0], call.k_positions, call.k_valid)
        tables = [rows(params[name], at, S) for name in (names[0], names[-1])]
        key, value = (linformer_project(each, table, call.k_valid) for each, table in zip((key, value), tables))
        output, _ = run(
            parts_of(normalizer=context.parts.normalizer),
            query,
            key,
            value,
            params=context.params,
            x=x,
            call=Call(q_valid=call.q_valid, rng=call.rng, train=call.train, layer=call.layer, max_length=call.max_length),
            dropout=context.dropout,
            kernel=context.kernel,
        )
        return merge(params["output"], output)

    return Mixer(
        apply=apply,
        init=init,
        num_heads=heads,
        kv_heads=heads,
        head_dim=head_dim,
        uses=("normalizer",),
        max_length="dims",
    )
