r"""The position itself in every other channel, added to the embeddings.

```math
p_{i,2t} = i, \quad p_{i,2t+1} = 0
```

Parameters: none. `parity='odd'` takes the other channels, `normalize=True` divides by the number of tokens less one.
Claim: none.
Traps: at position 40 it is 40 times as large as an embedding: without layer norm training diverges, with it words vanish
behind positions. `normalize` gives position 3 another code in every length. bfloat16 holds no odd index above 256.
Source: a form of tutorials.
Family: Forms of tutorials
"""

from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Num

from attention.documents import numbered, totals
from attention.encodings._embeddings import Combine, check_dim, check_scale, put
from attention.positions import packed_segments, q_positions
from attention.records import Call, Encoding

__all__ = ["index_positions"]

Parity = Literal["even", "odd"]


def index_positions(
    positions: Num[Array, "*#B T"], dim: int, *, parity: Parity = "even", length: Num[Array, "*#B"] | None = None
) -> Float[Array, "*#B T D"]:
    """The index, ``PE[i, 2t] = i``, ``PE[i, 2t+1] = 0`` for even parity, and the other way round for odd.

    Indices swamp embeddings of unit variance at once: use a small scale, ``length``, or layer norm.

    Args:
      positions: ``[*B T]``.
      dim: D >= 2; pairs (i, 0) or (0, i), of which an odd D cuts the last.
      parity: the channels that hold the index, ``'even'`` (0, 2, ...) or ``'odd'``.
      length: tokens of each text L, ``[*#B]``; given, the index is divided by L - 1 (by 1 for a single token), so that one
        position has different codes in texts of different lengths.

    Returns:
      ``[*B T D]`` float32, exact up to position 2²⁴.

    Raises:
      ValueError: for a dimension below 2.

    Example:
      >>> attention.index_positions(jnp.array([0, 3]), 4)
      [[0.0, 0.0, 0.0, 0.0], [3.0, 0.0, 3.0, 0.0]]

    Source: a form of tutorials; no paper proposes it.
    """
    check_dim(dim, 2)
    index = positions.astype(jnp.float32) if length is None else _shares(positions, jnp.asarray(length)[..., None])
    return jnp.where(jnp.arange(dim) % 2 == (parity == "odd"), index[..., None], 0.0)


def _shares(positions: jax.Array, length: jax.Array) -> jax.Array:
    """The positions ``[*B T]`` divided by the tokens less one of each text, ``[*#B #T]``."""
    return positions.astype(jnp.float32) / jnp.maximum(length.astype(jnp.float32) - 1, 1)


def build(parity: Parity = "even", normalize: bool = False, scale: float = 1.0, combine: Combine = "add") -> Encoding:
    """The index in the even or odd channels, times ``scale``.

    ``normalize`` divides it by the number of valid tokens less one. ``combine='concat'`` puts one pair of channels behind the
    embeddings, whose first two make room: the width of the model stays. States in bfloat16 hold no odd index above 256.
    """
    check_scale(scale)

    def embed(params, x, tokens, call):
        T, D = x.shape[-2:]
        at = q_positions(call, T)
        at = _shares(at, _lengths(call, T)) if normalize else at
        code = index_positions(at, D if combine == "add" else 2, parity=parity)
        return put(x, scale * code, combine)

    return Encoding(embed=embed, ahead="the index is divided by how many tokens there are" if normalize else "")


def _lengths(call: Call, T: int) -> jax.Array:
    """The number of valid tokens of each example ``[*#B 1]``, or ``[*#B T]`` of the document of each token."""
    valid = jnp.ones(T, jnp.bool_) if call.q_valid is None else call.q_valid
    if (segments := packed_segments(call)) is None:
        return jnp.sum(valid, axis=-1, keepdims=True)
    documents = numbered(segments, valid)
    return totals(jnp.broadcast_to(valid, documents.shape)[..., None].astype(jnp.int32), documents)[..., 0]
