"""Learned vectors per clipped distance, compared with the query and added to the values."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from attention.encodings._positions import relative
from attention.records import Encoding

__all__ = ["clipped_distance"]


def clipped_distance(relative: Int[Array, "*A"], max_distance: int) -> Int[Array, "*A"]:
    """The row of Shaw's tables, ``clip(j - i, -K, K) + K``.

    Args:
      relative: key position minus query position.
      max_distance: K >= 1.

    Returns:
      Rows in [0, 2K].

    Example:
      >>> attention.clipped_distance(jnp.array([-9, 0, 1]), 2)
      [0, 2, 3]

    Source: Shaw et al. 2018 (arXiv 1803.02155), eq. 5.
    """
    return jnp.clip(relative, -max_distance, max_distance) + max_distance


def build(max_distance: int = 16, values: bool = True) -> Encoding:
    """Shaw's relative positions, ``s_ij = (q_i·k_j + q_i·E^K_ij)·scale`` and ``o_i = Σ_j a_ij (v_j + E^V_ij)``.

    Tables of 2K+1 rows per layer, shared by the heads, N(0, 0.02) at the start; ``values=False`` leaves out E^V.
    Shaw et al. 2018 (arXiv 1803.02155), eq. 3 and 4.
    """
    if max_distance < 1:
        raise ValueError(f"max_distance must be >= 1, got {max_distance}")
    rows = 2 * max_distance + 1

    def init(rng, dims):
        if dims.layer is None:
            return {}
        rng_k, rng_v = jax.random.split(rng)
        shape = (rows, dims.head_dim)
        tables = {"keys": 0.02 * jax.random.normal(rng_k, shape)}
        if values:
            tables["values"] = 0.02 * jax.random.normal(rng_v, shape)
        return tables

    def prepare(params, x, query, key, call):
        wide = query.astype(jnp.promote_types(query.dtype, jnp.float32))
        return jnp.einsum("...tnh,rh->...tnr", wide, params[1]["keys"]) * call.scale, (), ()

    # A matrix product with one-hot rows takes the place of a gather: its gradient is a product too, not a scatter.
    def one_hot(call) -> Float[Array, "*#B t s R"]:
        T, S = call.q_positions.shape[-1], call.k_positions.shape[-1]
        return jax.nn.one_hot(clipped_distance(relative(call, T, S), max_distance), rows)

    def bias(params, q_features, k_features, rest, call):
        return jnp.einsum("...tnr,...tsr->...nts", q_features, one_hot(call))

    def add_values(params, weights, call):
        per_row = jnp.einsum("...nts,...tsr->...tnr", weights, one_hot(call))
        return jnp.einsum("...tnr,rh->...tnh", per_row, params[1]["values"])

    encoding = Encoding(init=init, prepare=prepare, bias=bias, reads="block")
    return encoding._replace(values=add_values, reads="rows") if values else encoding
