r"""Sinusoids of the signed distance compared with the query as it is, so that direction shows; nothing is scaled.

```math
s_{ij} = q_i \cdot k_j + u \cdot k_j + (q_i + v) \cdot R_{i-j}
```

`transformer_xl` without a projection of the sinusoid, and without a scale.

Parameters: u and v per head, N(0, 0.02) at the start.
Claim: named entities: direction and distance both matter there, and sinusoids that are projected lose direction. Sharper
attention without the scale.
Traps: its term is never scaled; for nothing to be, take `score=dot`. The paper's keys are not projected; here they are
the mixer's. With q·R of size √(H/2) its waves outweigh a scaled q·k.
Source: Yan et al. 2019 (arXiv 1911.04474), eq. 16 and 17.
Family: Compared with the content
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Num

from attention.encodings._products import check_even, with_sinusoids
from attention.encodings.sinusoidal import sinusoidal
from attention.placement import placed
from attention.positions import k_positions, q_positions
from attention.precision import widen
from attention.records import Encoding

__all__ = ["tener_terms"]


def tener_terms(
    query: Float[Array, "*B T N H"],
    key: Float[Array, "*B S N H"],
    q_positions: Num[Array, "*#B T"],
    k_positions: Num[Array, "*#B S"],
    *,
    u: Float[Array, "N H"],
    v: Float[Array, "N H"],
) -> Float[Array, "*B N T S"]:
    """What TENER adds to q·k, ``u·k_j + (q_i + v)·R_{i-j}``, with R_Δ the sinusoid of size H of the signed distance.

    Computed as a product of sinusoids of i and of j, so that no pair has a vector of its own.

    Args:
      query: ``[*B T N H]``, H even.
      key: ``[*B S N H]``.
      q_positions: i, ``[*#B T]``.
      k_positions: j, ``[*#B S]``.
      u: compared with keys, ``[N H]``.
      v: compared with distances, ``[N H]``.

    Returns:
      ``[*B N T S]``, float32 or wider.

    Example:
      >>> attention.tener_terms(query, key, jnp.arange(5), jnp.arange(5), u=u, v=v)  # [N 5 5]

    Source: Yan et al. 2019 (arXiv 1911.04474), eq. 16 and 17; the channels of R are all sines and then all cosines, which is an
    order that the projection of the query can learn.
    """
    waves = sinusoidal(k_positions, key.shape[-1], layout="concat")
    content = jnp.einsum("...snh,nh->...ns", widen(key), u)
    return jnp.einsum("...tnh,...sh->...nts", with_sinusoids(widen(query) + v, q_positions), waves) + content[..., None, :]


def build() -> Encoding:
    """TENER's terms, ``q_i·k_j + u·k_j + (q_i + v)·R_{i-j}``; u and v [N H] in each layer, N(0, 0.02) at the start.

    Not scaled whatever the score: with ``score=dot`` nothing is, as published. One deviation: the paper's keys are the layer's
    input, not projected, and here they are the mixer's.
    Yan et al. 2019 (arXiv 1911.04474), section 3.2.
    """

    def init(rng, dims):
        check_even("tener", "the dimension of a head", dims.head_dim)
        small = lambda rng: 0.02 * jax.random.normal(rng, (dims.num_heads, dims.head_dim))
        return dict(zip("uv", map(small, jax.random.split(rng))))

    def prepare(params, x, query, key, call):
        i, j = q_positions(call, query.shape[-3]), k_positions(call, key.shape[-3])
        content = jnp.einsum("...snh,nh->...sn", widen(key), params["u"])
        waves = sinusoidal(j, key.shape[-1], layout="concat")
        return (
            with_sinusoids(widen(query) + params["v"], i),
            (content, placed(jnp.broadcast_to(waves, (*content.shape[:-1], key.shape[-1])), content, content.ndim - 2)),
            (),
        )

    def bias(params, q_features, k_features, rest, call):
        content, waves = k_features
        return jnp.einsum("...tnh,...sh->...nts", q_features, waves) + jnp.moveaxis(content, -1, -2)[..., None, :]

    return Encoding(init=init, prepare=prepare, bias=bias)
