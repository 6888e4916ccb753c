r"""Positions compared with positions by projections of their own, apart from the words; the first token's may be untied.

```math
s_{ij} = \frac{q_i \cdot k_j + (p_i U^Q) \cdot (p_j U^K)}{\sqrt{2H}} \; [+ \text{ t5}]
```

Places are compared with places, words with words.

Parameters: a table of the longest text with a layer norm, and U for all layers. `relative='t5'` adds T5's bias;
`untie_cls=True`, for `pooling=cls`, gives position 0 one number per head for what it sees and one for what is seen of it.
Claim: better GLUE than BERT's sums, reached sooner. Words and places in one sum give terms of word with place that the
paper finds to be noise.
Traps: the table ends, with an error past it. The scale is $1/\sqrt{2H}$. Untied numbers are products of two further rows
with themselves, as in the official code, and hide row and column 0 of the map (in the middle of the figure).
Source: Ke et al. 2020 (arXiv 2006.15595), eq. 7 to 10.
Family: Biases that are learned
"""

from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from attention.encodings._distances import by_distance
from attention.encodings.t5 import t5_buckets
from attention.positions import both_valid, check_length, check_whole, inside, k_positions, q_positions, table_length
from attention.records import Encoding

__all__ = ["tupe_untied"]

BUCKETS = 32  # of T5, at most 128 apart


def tupe_untied(
    bias: Float[Array, "*B N T S"],
    q_positions: Int[Array, "*#B T"],
    k_positions: Int[Array, "*#B S"],
    *,
    from_first: Float[Array, " N"],
    to_first: Float[Array, " N"],
) -> Float[Array, "*B N T S"]:
    """A bias with the first token's untied, ``b_0j = θ₁`` for all j and ``b_i0 = θ₂`` for i > 0.

    Args:
      bias: ``[*B N T S]``.
      q_positions: i, ``[*#B T]``; the first token has position 0.
      k_positions: j, ``[*#B S]``.
      from_first: θ₁, what the first token sees, ``[N]``.
      to_first: θ₂, what the others see of the first, ``[N]``.

    Returns:
      ``[*B N T S]``.

    Example:
      >>> attention.tupe_untied(jnp.eye(2)[None], jnp.arange(2), jnp.arange(2), from_first=jnp.ones(1), to_first=-jnp.ones(1))
      [[[1.0, 1.0], [-1.0, 1.0]]]

    Source: Ke et al. 2020 (arXiv 2006.15595), eq. 10.
    """
    of = lambda theta: theta[:, None, None]
    bias = jnp.where((k_positions == 0)[..., None, None, :], of(to_first), bias)
    return jnp.where((q_positions == 0)[..., None, :, None], of(from_first), bias)


def build(relative: Literal["none", "t5"] = "none", untie_cls: bool = False) -> Encoding:
    """TUPE, ``s_ij = (q_i·k_j + (p_i U^Q)·(p_j U^K))·scale [+ t5]``, scale 1/√(2H), p the layer norm of a learned table.

    Everything is shared by the layers: a table of L = ``Dims.max_length`` rows, N(0, 0.02) at the start, the norm's gain and
    offset, and U^Q, U^K ``[D N H]``. ``relative='t5'`` adds T5's bias of 32 buckets up to 128, N(0, 0.02) at the start.
    ``untie_cls=True`` is for ``pooling=cls``, whose token has position 0: what it sees, and what is seen of it, is a number per
    head, the products with themselves of two more rows; T5's bias has buckets of its own there.
    Ke et al. 2020 (arXiv 2006.15595), eq. 7 to 10, and the official code for the untied numbers; U without biases.
    """
    first = int(untie_cls)  # the table's row of position 0

    def shared(rng, dims):
        L, D, N, H = table_length("tupe", dims.max_length), dims.model_dim, dims.num_heads, dims.head_dim
        rngs = jax.random.split(rng, 4)
        into = jax.nn.initializers.lecun_normal(in_axis=0, out_axis=(1, 2))
        params = {
            "table": 0.02 * jax.random.normal(rngs[0], (L + first, D)),
            "gain": jnp.ones(D),
            "offset": jnp.zeros(D),
            "query": into(rngs[1], (D, N, H)),
            "key": into(rngs[2], (D, N, H)),
        }
        if relative == "t5":
            params["relative"] = 0.02 * jax.random.normal(rngs[3], (BUCKETS + first, N))
        return params

    def prepare(params, x, query, key, call):
        length = params["table"].shape[0] - first
        if call.consecutive is True:
            check_length("tupe", length, max(query.shape[-3], key.shape[-3]))
        else:
            i, j = q_positions(call, query.shape[-3]), k_positions(call, key.shape[-3])
            check_whole("tupe", i, j)
            for positions, valid in ((i, call.q_valid), (j, call.k_valid)):
                inside("tupe", length, positions, True if valid is None else valid)
        codes = _layer_norm(params["table"]) * params["gain"] + params["offset"]
        into = lambda name: jnp.einsum("ld,dnh->lnh", codes, params[name])
        return (), (), (into("query") * call.scale, into("key"))

    def bias(params, q_features, k_features, rest, call):
        (of_query, of_key), i, j = rest, call.q_positions, call.k_positions
        length = of_query.shape[0] - first
        known = lambda positions: (positions >= 0) & (positions < length)
        row = lambda positions: jnp.where(known(positions), positions, 0) + first
        found = jnp.einsum("...tnh,...snh->...nts", of_query[row(i)], of_key[row(j)])
        if call.consecutive is not True:
            missing = ~(known(i)[..., :, None] & known(j)[..., None, :]) & both_valid(call)
            found = jnp.where(missing[..., None, :, :], jnp.nan, found)
        itself = lambda r: jnp.einsum("nh,nh->n", of_query[r], of_key[r])
        from_first, to_first = itself(0), itself(1)
        if relative == "t5":
            table = params["relative"]
            found = found + by_distance(call, lambda distance: table[t5_buckets(-distance, buckets=BUCKETS)])
            # T5 never uses the bucket of later keys at distance 0; the last row is there for this alone.
            from_first, to_first = from_first + table[BUCKETS // 2], to_first + table[-1]
        return tupe_untied(found, i, j, from_first=from_first, to_first=to_first) if untie_cls else found

    return Encoding(shared=shared, prepare=prepare, bias=bias, terms=2, max_length="dims")


def _layer_norm(x: jax.Array, epsilon: float = 1e-5) -> jax.Array:
    centred = x - jnp.mean(x, axis=-1, keepdims=True)
    return centred * jax.lax.rsqrt(jnp.mean(centred**2, axis=-1, keepdims=True) + epsilon)
