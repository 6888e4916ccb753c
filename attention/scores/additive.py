"""vᵀ tanh(Wq + Uk + b): a small network compares query and key."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from attention.records import Dims, Params, Score

__all__ = ["additive_scores"]


def additive_scores(
    query: Float[Array, "*B T N A"], key: Float[Array, "*B S N A"], vector: Float[Array, "N A"]
) -> Float[Array, "*B N T S"]:
    """Additive scores of projected queries and keys, ``s_ij = Σ_a v_a tanh(q_ia + k_ja)``.

    Args:
      query: ``Wq + b``, ``[*B T N A]`` with A hidden units.
      key: ``Uk``, ``[*B S N A]``.
      vector: v, ``[N A]``.

    Returns:
      Scores ``[*B N T S]``, float32 (float64 for float64 inputs). One hidden unit is computed at a time and recomputed in the
      backward pass, so that memory is T·S per head and never T·S·A.

    Example:
      >>> attention.additive_scores(jnp.zeros((1, 1, 2)), jnp.ones((1, 1, 2)), jnp.ones((1, 2)))
      [[[1.5231884]]]  # 2 tanh(1)

    Source: Bahdanau et al. 2014 (arXiv 1409.0473), appendix A.1.2.
    """
    wide = jnp.promote_types(query.dtype, jnp.float32)

    def add_unit(total, unit):
        q, k, v = unit  # [*B T N], [*B S N], [N]
        q, k = jnp.swapaxes(q, -1, -2)[..., :, None], jnp.swapaxes(k, -1, -2)[..., None, :]
        return total + v[:, None, None] * jnp.tanh(q + k), None

    units = tuple(jnp.moveaxis(x.astype(wide), -1, 0) for x in (query, key, vector))
    *batch, T, N, _ = query.shape
    start = jnp.zeros((*batch, N, T, key.shape[-3]), wide)
    return jax.lax.scan(jax.checkpoint(add_unit), start, units)[0]


def build(hidden: int | None = None, bias: bool = True) -> Score:
    """Additive scores with ``hidden`` units per head (None for the head dimension)."""
    if hidden is not None and hidden < 1:
        raise ValueError(f"hidden must be None or >= 1, got {hidden}")

    def init(rng: jax.Array, dims: Dims) -> Params:
        if dims.layer is None:
            return {}
        units = hidden or dims.head_dim
        rng_q, rng_k, rng_v = jax.random.split(rng, 3)
        xavier = jax.nn.initializers.glorot_uniform(in_axis=-2, out_axis=-1, batch_axis=0)
        params = {
            "query": xavier(rng_q, (dims.num_heads, dims.head_dim, units)),
            "key": xavier(rng_k, (dims.num_heads, dims.head_dim, units)),
            "vector": xavier(rng_v, (dims.num_heads, units, 1))[..., 0],
        }
        if bias:
            params["bias"] = jnp.zeros((dims.num_heads, units))
        return params

    def project(params, query, key, call):
        own = params[1]
        query = jnp.einsum("...tnh,nha->...tna", query, own["query"].astype(query.dtype))
        key = jnp.einsum("...snh,nha->...sna", key, own["key"].astype(key.dtype))
        return (query + own["bias"].astype(query.dtype) if bias else query), key

    def apply(params, query, key, call):
        return additive_scores(query, key, params[1]["vector"])

    return Score(apply=apply, init=init, project=project)
