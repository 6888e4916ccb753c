r"""Sinusoids of the signed distance, projected and compared with the query; learned vectors take the query's place too.

```math
s_{ij} = \frac{(q_i + u) \cdot k_j + (q_i + v) \cdot W_R R_{i-j}}{\sqrt H}
```

A sinusoid of the signed distance, projected, in place of codes on queries and keys; u and v replace the query's place.

Parameters: W_R starts as projections do, u and v (per head) at N(0, 0.02).
Claim: with its memory of earlier segments, dependencies 450 % longer than the Transformer's; attention over more tokens
than in training. The memory is not here.
Traps: the shift that finds T² scores from T + S - 1 distances differs for causal and full attention; here it serves any
block, and positions that do not count up by ones take a product of sinusoids instead. D must be even. All sines come
first, then all cosines.
Source: Dai et al. 2019 (arXiv 1901.02860), section 3.3.
Family: Compared with the content
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Num

from attention.encodings._products import check_even, rows_between, times_rows, with_sinusoids
from attention.encodings.sinusoidal import sinusoidal
from attention.positions import k_positions, q_positions
from attention.precision import widen
from attention.records import Encoding, EncodingClaims

__all__ = ["transformer_xl_terms"]


def transformer_xl_terms(
    query: Float[Array, "*B T N H"],
    key: Float[Array, "*B S N H"],
    q_positions: Num[Array, "*#B T"],
    k_positions: Num[Array, "*#B S"],
    *,
    kernel: Float[Array, "D N H"],
    u: Float[Array, "N H"],
    v: Float[Array, "N H"],
) -> Float[Array, "*B N T S"]:
    """What Transformer-XL adds to q·k before scaling, ``u·k_j + (q_i + v)·W_R R_{i-j}``.

    R_Δ is the sinusoid of size D of the signed distance, all sines and then all cosines. Computed as a product of sinusoids of
    i and of j, so that no pair has a vector of its own.

    Args:
      query: ``[*B T N H]``.
      key: ``[*B S N H]``.
      q_positions: i, ``[*#B T]``.
      k_positions: j, ``[*#B S]``.
      kernel: W_R, ``[D N H]`` with D even.
      u: compared with keys, ``[N H]``.
      v: compared with distances, ``[N H]``.

    Returns:
      ``[*B N T S]``, float32 or wider.

    Example:
      >>> attention.transformer_xl_terms(q, k, jnp.arange(5), jnp.arange(5), kernel=w, u=u, v=v)  # [N 5 5]

    Source: Dai et al. 2019 (arXiv 1901.02860), section 3.3.
    """
    turned = with_sinusoids(jnp.einsum("...tnh,dnh->...tnd", widen(query) + v, kernel), q_positions)
    waves = sinusoidal(k_positions, kernel.shape[0], layout="concat")
    content = jnp.einsum("...snh,nh->...ns", widen(key), u)
    return jnp.einsum("...tnd,...sd->...nts", turned, waves) + content[..., None, :]


def build() -> Encoding:
    """Transformer-XL's terms, ``[q_i·k_j + u·k_j + (q_i + v)·W_R R_{i-j}]·scale``; W_R [D N H], u and v [N H] in each layer.

    W_R starts as projections do, u and v at N(0, 0.02). Scores of positions that count up by ones are shifted into place from
    the products with T + S - 1 distances; those of others are ``transformer_xl_terms``.
    Dai et al. 2019 (arXiv 1901.02860), section 3.3, without its memory of earlier segments.
    """

    def init(rng, dims):
        D, N, H = dims.model_dim, dims.num_heads, dims.head_dim
        check_even("transformer_xl", "the model's dimension", D)
        rng_kernel, *rngs = jax.random.split(rng, 3)
        small = lambda rng: 0.02 * jax.random.normal(rng, (N, H))
        kernel = jax.nn.initializers.lecun_normal(in_axis=0, out_axis=(1, 2))(rng_kernel, (D, N, H))
        return {"kernel": kernel, "u": small(rngs[0]), "v": small(rngs[1])}

    def prepare(params, x, query, key, call):
        D = params["kernel"].shape[0]
        i, j = q_positions(call, query.shape[-3]), k_positions(call, key.shape[-3])
        moved = (widen(query) + params["v"]) * call.scale
        content = jnp.einsum("...snh,nh->...sn", widen(key), params["u"]) * call.scale
        if call.consecutive is True:
            code = lambda distance: sinusoidal(-distance, D, layout="concat")  # of i - j, for distances j - i
            return moved, content, rows_between(i, j, lambda d: jnp.einsum("rd,dnh->rnh", code(d), params["kernel"]))
        turned = with_sinusoids(jnp.einsum("...tnh,dnh->...tnd", moved, params["kernel"]), i)
        waves = jnp.broadcast_to(sinusoidal(j, D, layout="concat"), (*key.shape[:-2], D))
        return turned, (content, waves), ()

    def bias(params, q_features, k_features, rest, call):
        if call.consecutive is True:
            content, found = k_features, times_rows(q_features, rest, call.q_positions, call.k_positions)
        else:
            content, found = k_features[0], jnp.einsum("...tnd,...sd->...nts", q_features, k_features[1])
        return found + jnp.moveaxis(content, -1, -2)[..., None, :]

    return Encoding(init=init, prepare=prepare, bias=bias, claims=EncodingClaims(extrapolates=True))
