r"""Longformer: attention in a window, and first tokens that see all, with projections of their own, and are seen by all.

```math
\text{global rows: } \mathrm{softmax}(Q_g K_g^\top / \sqrt H)\, V_g, \qquad \text{others: attention in the
window, and to the global tokens}
```

`attention` under the mask `longformer(window, globals)`, and the first `globals` positions as rows with projections of
their own. `separate=False` is the mask alone.

Parameters: 4(D² + D), and 3(D² + D) of the global rows.
Cost in T: T·(w + g)
Cost: linear where positions are 0, 1, ... and the encoding prepares nothing for whole sequences; otherwise the global rows
are computed for all tokens.
Traps: the second projections belong to global *rows*; as keys, global tokens use the common ones.
Source: Beltagy et al. 2020 (arXiv 2004.05150), section 3.1.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from attention.masks import combine
from attention.masks.longformer import build as build_mask
from attention.mixers._heads import check_heads, init_heads, merge, project, self_only, weighed
from attention.records import Call, Context, Mixer, Params

__all__: list[str] = []


def build(
    heads: int = 4, head_dim: int | None = None, bias: bool = True, window: int = 64, globals: int = 1, separate: bool = True
) -> Mixer:
    """Attention under ``longformer(window, globals)`` and the mask given; 4(D² + D) parameters, and 3(D² + D) of globals.

    The rows of the first ``globals`` positions are ``softmax(Q_g K_gᵀ) V_g`` with projections of their own, unless
    ``separate=False``, which is ``attention`` with that mask. The other rows read those positions by the common K and V. Where
    positions are given, or an encoding prepares something for whole sequences, global rows are computed for all tokens.
    Beltagy et al. 2020 (arXiv 2004.05150), section 3.1. The projections start apart; theirs start as copies.
    """
    check_heads(heads, head_dim=head_dim)
    own_mask = build_mask(window=window, globals=globals)
    separate = separate and globals > 0
    names = ("query", "key", "value")

    def init(rng: jax.Array, dims: Any) -> Params:
        params = init_heads(rng, dims, (*names, "output"), bias)
        if separate:
            apart = init_heads(jax.random.fold_in(rng, 1), dims, names, bias)
            params |= {f"global_{name}": layer for name, layer in apart.items()}
        return params

    def apply(params: Params, x: jax.Array, context: Context, call: Call) -> jax.Array:
        self_only(context)
        here = context._replace(parts=context.parts._replace(mask=combine(context.parts.mask, own_mask)))
        query, key, value = (project(params[name], x) for name in names)
        output, weights = weighed(query, key, value, x, here, call)
        if separate:
            query, key, value = (project(params[f"global_{name}"], x) for name in names)
            count = min(globals, x.shape[-2]) if _sliced(context, call) else x.shape[-2]
            there, narrow = _first(count, context, call)
            of_first, full = weighed(query[..., :count, :, :], key, value, x[..., :count, :], there, narrow)
            first = _first_positions(call, x.shape[-2]) < globals
            pad = [(0, 0)] * (output.ndim - 3) + [(0, x.shape[-2] - count), (0, 0), (0, 0)]
            output = jnp.where(first[..., None, None], jnp.pad(of_first, pad), output)
            weights = weights if full is None else jnp.where(first[..., None, :, None], full, weights)
        if context.record is not None:
            context.record("weights", weights)
        return merge(params["output"], output)

    def refuses(parts):
        couples = separate and parts.normalizer.reads == "all"
        return ("normalizer", "this normalizer couples queries, and global rows are computed apart") if couples else None

    return Mixer(apply=apply, init=init, num_heads=heads, kv_heads=heads, head_dim=head_dim, refuses=refuses)


def _first_positions(call: Call, T: int) -> jax.Array:
    return jnp.arange(T) if call.q_positions is None else call.q_positions


def _sliced(context: Context, call: Call) -> bool:
    """Whether the first rows can be computed without the others."""
    at = context.encoding_call or call
    counted = call.q_positions is None and at.q_positions is None
    return counted and context.record is None and context.parts.encoding.prepare is None


def _first(count: int, context: Context, call: Call) -> tuple[Context, Call]:
    """The context and the call of the first ``count`` queries, with a key of their own for what is random."""
    cut = lambda leaf: leaf if leaf is None else leaf[..., :count]
    rng = None if call.rng is None else jax.random.fold_in(call.rng, 1)
    queries = lambda c: dataclasses.replace(c, q_valid=cut(c.q_valid), q_segments=cut(c.q_segments), rng=rng)
    rows = lambda leaf: leaf if leaf is None or leaf.shape[-2] == 1 else leaf[..., :count, :]
    at = None if context.encoding_call is None else queries(context.encoding_call)
    return context._replace(encoding_call=at, where=rows(context.where), bias=rows(context.bias)), queries(call)
