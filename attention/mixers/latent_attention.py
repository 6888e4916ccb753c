r"""Multi-head latent attention: keys and values of all heads are made of one small vector per token.

```math
c = \mathrm{rms}(x W_c), \quad k = [c W_k \,\Vert\, x W_r], \quad v = c W_v,
\quad q = x W_q \text{ or of a latent vector too}
```

The scale is 1/√(head_dim + rope_dim). A rotary encoding turns the last `rope_dim` channels and no others, and `x W_r` is
one key for all heads.

Parameters: D(C + R + N·H) + C + C·N(H - R + E) + N·E·D without `query_rank`, no biases.
Cost in T: T²
Padding: as `attention`.
Traps: without a rotary encoding the shared key is still there, but knows no position. Encodings with a parameter per
channel (`pope`) are refused, since only a part of the channels is turned.
Source: DeepSeek-AI 2024 (DeepSeek-V2, arXiv 2405.04434), eq. 9-19.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from attention.mixers._heads import attended, check_heads, merge
from attention.precision import check_floating, widen
from attention.records import Dims, Mixer, Params, Parts

__all__ = ["latent_heads"]


def latent_heads(
    x: Float[Array, "*B T D"], source: Float[Array, "*B S D"], params: Params
) -> tuple[Float[Array, "*B T N H"], Float[Array, "*B S N H"], Float[Array, "*B S N E"]]:
    """Queries, keys and values of a latent vector, ``c = rms(X W_c)``, ``K = [c W_k ‖ X W_r]``, ``V = c W_v``.

    The last R channels of queries and keys are there to be rotated; those of the keys, ``X W_r``, are one vector for all heads.

    Args:
      x: what queries are made of, ``[*B T D]``.
      source: X, what keys and values are made of, ``[*B S D]``.
      params: ``"latent"`` W_c ``[D C]`` and its ``"latent_scale"`` ``[C]``; ``"key"`` W_k ``[C N H-R]``, ``"value"`` W_v
        ``[C N E]``, ``"shared_key"`` W_r ``[D R]``; ``"query"`` ``[D N H]``, or ``[Q N H]`` with ``"q_latent"`` ``[D Q]`` and
        ``"q_latent_scale"`` ``[Q]``.

    Returns:
      query ``[*B T N H]``, key ``[*B S N H]`` and value ``[*B S N E]``, not rotated.

    Example:
      >>> query, key, value = attention.latent_heads(x, x, params)

    Source: DeepSeek-AI 2024 (arXiv 2405.04434), eq. 9-19; the norms of the latent vectors are those of their code.
    """
    check_floating(x, source)
    own = {name: leaf.astype(x.dtype) for name, leaf in params.items()}
    if "q_latent" in params:
        x = _rms(x @ own["q_latent"], own["q_latent_scale"])
    query = jnp.einsum("...td,dnh->...tnh", x, own["query"])
    latent = _rms(source @ own["latent"], own["latent_scale"])
    key, value = (jnp.einsum("...sc,cnh->...snh", latent, own[name]) for name in ("key", "value"))
    shared = (source @ own["shared_key"])[..., None, :]
    shared = jnp.broadcast_to(shared, (*key.shape[:-1], shared.shape[-1]))
    return query, jnp.concatenate([key, shared], axis=-1), value


def _rms(x: jax.Array, scale: jax.Array) -> jax.Array:
    wide = widen(x)
    size = jnp.sqrt(jnp.mean(jnp.square(wide), axis=-1, keepdims=True) + 1e-6)
    return (wide / size).astype(x.dtype) * scale


def build(
    heads: int = 4,
    head_dim: int = 16,
    rope_dim: int = 8,
    value_dim: int | None = None,
    rank: int = 64,
    query_rank: int | None = None,
) -> Mixer:
    """Latent attention (MLA): C = ``rank`` numbers per token stand for the keys and values of all heads.

    Each head has ``head_dim`` channels made of the latent vector and R = ``rope_dim`` that a rotary encoding turns, and no
    other; H is their sum, and the scale 1/√H. Values have ``value_dim`` channels, ``head_dim`` by default. ``query_rank``
    makes queries of a latent vector too. D(C + R + N·H) + C + C·N(H - R + E) + N·E·D parameters, no biases.
    What is saved is the cache of a decoder; here, where texts are read whole, it is the low rank that is studied.
    """
    check_heads(heads, head_dim=head_dim, rope_dim=rope_dim, value_dim=value_dim, rank=rank, query_rank=query_rank)
    width, E = head_dim + rope_dim, head_dim if value_dim is None else value_dim

    def init(rng: jax.Array, dims: Dims) -> Params:
        D, lecun = dims.model_dim, jax.nn.initializers.lecun_normal
        into = lecun(in_axis=0, out_axis=(1, 2))
        rngs = jax.random.split(rng, 7)
        params = {
            "latent": lecun()(rngs[0], (D, rank)),
            "latent_scale": jnp.ones(rank),
            "key": into(rngs[1], (rank, heads, head_dim)),
            "value": into(rngs[2], (rank, heads, E)),
            "shared_key": lecun()(rngs[3], (D, rope_dim)),
            "query": into(rngs[4], (query_rank or D, heads, width)),
            "output": lecun(in_axis=(0, 1), out_axis=2)(rngs[5], (heads, E, D)),
        }
        if query_rank is not None:
            params |= {"q_latent": lecun()(rngs[6], (D, query_rank)), "q_latent_scale": jnp.ones(query_rank)}
        return params

    def apply(params, x, context, call):
        query, key, value = latent_heads(x, x if context.memory is None else context.memory, params)
        encoding = context.parts.encoding
        if encoding.rotate is not None:
            encoding = encoding._replace(rotate=_of_last(encoding.rotate, head_dim))
        here = context._replace(parts=context.parts._replace(encoding=encoding))
        return merge({"kernel": params["output"]}, attended(query, key, value, x, here, call))

    return Mixer(apply=apply, init=init, num_heads=heads, kv_heads=heads, head_dim=width, refuses=_refused)


def _of_last(inner: Callable[..., Any], first: int) -> Callable[..., tuple[jax.Array, jax.Array]]:
    """A rotation of the channels from ``first`` on."""

    def rotate(params, query, key, call):
        joined = lambda x, turned: jnp.concatenate([x[..., :first], turned], axis=-1)
        turned_query, turned_key = inner(params, query[..., first:], key[..., first:], call)
        return joined(query, turned_query), joined(key, turned_key)

    return rotate


def _refused(parts: Parts) -> tuple[str, str] | None:
    encoding = parts.encoding
    if encoding.values is not None:
        return "encoding", "this encoding adds to values, which are not as wide as keys here"
    if parts.normalizer.maps > 1:
        return "normalizer", "this normalizer joins heads whose values are as wide as keys"
    if encoding.rotate is None or (init := encoding.init) is None:
        return None
    shapes = [
        jax.eval_shape(lambda rng, H=H, init=init: init(rng, Dims(2, 2, H, 2 * H, max_length=4)), jax.random.key(0))
        for H in (8, 16)
    ]
    if jax.tree.map(jnp.shape, shapes[0]) != jax.tree.map(jnp.shape, shapes[1]):
        return "encoding", "this encoding has parameters for every channel of a head, and here it turns a part of them"
    return None
