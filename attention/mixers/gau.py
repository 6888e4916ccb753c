r"""Gated attention unit: one head with squared-relu weights, gated; it stands for attention and MLP together.

```math
O = (U \odot A V)\, W_o, \quad A = \mathrm{relu}(Q K^\top / n)^2, \quad U, V = \mathrm{silu}(x W),
\quad Q, K = \gamma \odot \mathrm{silu}(x W_z) + \beta
```

One head, S = `key_dim` channels, values of E = `expansion`·D.

Parameters: D(3E + S) + 4S
Cost in T: T²
Padding: n counts the keys a query may attend to; public code divides by the padded length, so there more padding means
smaller outputs.
Traps: the unit replaces attention *and* MLP; compare it with a small `transformer(mlp=...)`.
Source: Hua et al. 2022 (arXiv 2202.10447), section 3.1.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from attention.mixers._heads import attended, check_heads, self_only
from attention.normalizers.pointwise import build as build_pointwise
from attention.normalizers.pointwise import pointwise
from attention.precision import check_floating
from attention.records import Mixer, Params
from attention.scores.dot import build as build_dot

__all__ = ["gated_attention_unit"]


def gated_attention_unit(
    x: Float[Array, "*B T D"], params: Params, where: Bool[Array, "*#B T"] | None = None
) -> Float[Array, "*B T D"]:
    """A gated attention unit, ``Y = (U ⊙ A V) W_o`` with ``A = relu(QKᵀ / n)²``.

    ``U = silu(X W_u)``, ``V = silu(X W_v)``, ``Z = silu(X W_z)``, ``Q = γ_q ⊙ Z + β_q``, ``K = γ_k ⊙ Z + β_k``.

    Args:
      x: X, ``[*B T D]``.
      params: ``"gate"`` W_u and ``"value"`` W_v ``[D E]``, ``"base"`` W_z ``[D S]``, ``"output"`` W_o ``[E D]``, ``"scale"`` γ
        and ``"offset"`` β ``[2 S]``, of queries and of keys.
      where: bool ``[*#B T]``, the n tokens that count; None for all.

    Returns:
      ``[*B T D]`` of the type of ``x``.

    Example:
      >>> attention.gated_attention_unit(x, params, where)

    Source: Hua et al. 2022 (arXiv 2202.10447), section 3.1 and its appendix A. n counts the valid tokens; public code divides
    by the padded length.
    """
    check_floating(x)
    u, query, key, value = _project(params, x)
    scores = jnp.einsum("...tnh,...snh->...nts", query, key, preferred_element_type=jnp.float32)
    open_keys = None if where is None else where[..., None, None, :]
    weights = pointwise(scores, open_keys, activation="relu2", power=2.0).astype(x.dtype)
    mixed = jnp.einsum("...nts,...snh->...tnh", weights, value)
    return (u * mixed[..., 0, :]) @ params["output"].astype(x.dtype)


def _project(params: Params, x: jax.Array) -> tuple[jax.Array, ...]:
    """The gate ``[*B T E]``; query and key ``[*B T 1 S]`` and value ``[*B T 1 E]``."""
    own = jax.tree.map(lambda leaf: leaf.astype(x.dtype), params)
    gate, value, base = (jax.nn.silu(x @ own[name]) for name in ("gate", "value", "base"))
    query, key = (own["scale"][i] * base + own["offset"][i] for i in (0, 1))
    return gate, query[..., None, :], key[..., None, :], value[..., None, :]


def build(key_dim: int = 128, expansion: float = 2.0) -> Mixer:
    """One head with queries and keys of ``key_dim`` S channels and values of E = ``expansion``·D; D(3E + S) + 4S parameters.

    The unit stands for a block's attention and MLP together; here the block still has its MLP, as small as
    ``transformer(mlp=...)`` makes it. γ starts as N(0, 0.02²), β at 0. An encoding's bias is added before relu and division.
    """
    check_heads(1, key_dim=key_dim)
    if not 0 < expansion < float("inf"):
        raise ValueError(f"expansion must be a finite number > 0, got {expansion}")
    parts = {"score": build_dot(), "normalizer": build_pointwise(activation="relu2", power=2.0)}

    def init(rng, dims):
        D, E = dims.model_dim, max(1, round(expansion * dims.model_dim))
        lecun = jax.nn.initializers.lecun_normal()
        rngs = jax.random.split(rng, 5)
        return {
            "gate": lecun(rngs[0], (D, E)),
            "value": lecun(rngs[1], (D, E)),
            "base": lecun(rngs[2], (D, key_dim)),
            "output": lecun(rngs[3], (E, D)),
            "scale": 0.02 * jax.random.normal(rngs[4], (2, key_dim)),
            "offset": jnp.zeros((2, key_dim)),
        }

    def apply(params, x, context, call):
        self_only(context)
        gate, query, key, value = _project(params, x)
        own = {kind: params for kind, params in context.params.items() if kind not in parts}
        here = context._replace(parts=context.parts._replace(**parts), params=own)
        output = attended(query, key, value, x, here, call)
        return (gate * output[..., 0, :]) @ params["output"].astype(x.dtype)

    def refuses(parts):
        adds = parts.encoding.values is not None
        return ("encoding", "this encoding adds to values as wide as keys, and here they are not") if adds else None

    return Mixer(apply=apply, init=init, head_dim=key_dim, uses=("encoding", "mask"), refuses=refuses)
