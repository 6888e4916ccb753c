r"""A learned vector per distance to an earlier key, compared with the query; causal, with a table as long as the texts.

```math
s_{ij} = \frac{q_i \cdot (k_j + E_{i-j})}{\sqrt H}, \quad j \le i
```

Parameters: L vectors per head, N(0, 0.02) at the start; `per_head=False` has one set for all.
Claim: memory: "skewing" finds the scores in T D numbers instead of T² D, so that pieces of thousands of notes fit.
Traps: causal only. What the skewing leaves above the diagonal is garbage until masked; here it is 0. A distance of L or
more is an error, or NaN under `jit`.
Source: Huang et al. 2018 (arXiv 1809.04281), section 3.4.
Family: Compared with the content
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from attention.encodings._distances import relative
from attention.encodings._products import pick, rows_between, times_rows
from attention.positions import both_valid, check_length, check_whole, inside, k_positions, q_positions, table_length
from attention.precision import widen
from attention.records import Encoding

__all__ = ["music_terms"]


def music_terms(
    query: Float[Array, "*B T N H"],
    q_positions: Int[Array, "*#B T"],
    k_positions: Int[Array, "*#B S"],
    table: Float[Array, "L N H"],
) -> Float[Array, "*B N T S"]:
    """What Music Transformer adds to q·k before scaling, ``q_i·E[j-i+L-1]`` for j <= i.

    Args:
      query: ``[*B T N H]``.
      q_positions: i, ``[*#B T]``.
      k_positions: j, ``[*#B S]``.
      table: E, a row per distance from L-1 down to 0, ``[L N H]``.

    Returns:
      ``[*B N T S]``, float32 or wider: 0 for later keys, which a causal mask hides; NaN for keys L or more positions before,
      for which there is no row.

    Example:
      >>> attention.music_terms(jnp.ones((1, 1, 1)), jnp.array([2]), jnp.array([1, 2, 3]), jnp.array([[[5.0]], [[6.0]]]))
      [[[5.0, 6.0, 0.0]]]

    Source: Huang et al. 2018 (arXiv 1809.04281), section 3.4.
    """
    distance = q_positions[..., :, None] - k_positions[..., None, :]
    return _picked(jnp.einsum("...tnh,lnh->...tnl", widen(query), table), distance, True)


def _picked(products: jax.Array, distance: jax.Array, wanted: jax.Array | bool) -> jax.Array:
    """Of ``products [*B t N L]`` those of distances ``[*#B t s]``; NaN past the table where ``wanted``."""
    L = products.shape[-1]
    found = pick(products, jnp.clip(L - 1 - distance, 0, L - 1))
    missing = (distance >= L) & wanted
    return jnp.where((distance < 0)[..., None, :, :], 0.0, jnp.where(missing[..., None, :, :], jnp.nan, found))


def build(per_head: bool = True) -> Encoding:
    """Music Transformer's relative attention, ``[q_i·k_j + q_i·E[j-i+L-1]]·scale``, under a causal mask.

    A table of L = ``Dims.max_length`` rows in each layer, ``per_head`` or shared by the heads, N(0, 0.02) at the start.
    Huang et al. 2018 (arXiv 1809.04281), eq. 3; its skewing in a form that serves any block of scores.
    """

    def init(rng, dims):
        length = table_length("music", dims.max_length)
        return {"table": 0.02 * jax.random.normal(rng, (length, dims.num_heads if per_head else 1, dims.head_dim))}

    def prepare(params, x, query, key, call):
        T, N, H = query.shape[-3:]
        S, L = key.shape[-3], params["table"].shape[0]
        table = jnp.broadcast_to(params["table"], (L, N, H))
        scaled, i, j = widen(query) * call.scale, q_positions(call, T), k_positions(call, S)
        if call.consecutive is True:
            check_length("music", L, max(T, S))
            row = lambda d: jnp.where((d <= 0)[:, None, None], table[jnp.clip(L - 1 + d, 0, L - 1)], 0.0)
            return scaled, (), rows_between(i, j, row)
        check_whole("music", i, j)
        # Texts that are packed or padded on the left have fewer distances than positions: these are looked at, not those.
        inside("music", L, jnp.maximum(-relative(call, T, S), 0), both_valid(call), "distance")
        return jnp.einsum("...tnh,lnh->...tnl", scaled, table), (), ()

    def bias(params, q_features, k_features, rest, call):
        if call.consecutive is True:
            return times_rows(q_features, rest, call.q_positions, call.k_positions)
        distance = -relative(call, call.q_positions.shape[-1], call.k_positions.shape[-1])
        return _picked(q_features, distance, both_valid(call))

    return Encoding(init=init, prepare=prepare, bias=bias, needs_causal=True, max_length="dims")
