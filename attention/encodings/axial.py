r"""Two short learned tables, one for the position within a row and one for the row, added to the embeddings.

```math
p_i = [\,U_{i \bmod L_1} \,\|\, W_{\lfloor i / L_1 \rfloor}]
```

The text laid out in rows of $L_1$ tokens: one table for the place in the row, one for the row.

Parameters: $L_1 D/2 + L_2 D/2$ for $L_1 L_2$ positions, N(0, 0.02) at the start. `lengths=(L1, L2)`, by default as equal
as the longest text allows; `form='sum'` gives both tables all channels.
Claim: memory: for texts of 64K tokens two tables of 256 rows take the place of one of 65,536. Nothing about length beyond
them.
Traps: positions a row apart are alike in half of their channels, as the diagonals of the figure show, and the last of a
row is as far from the first of the next as from any. Past $L_1 L_2$ it is an error.
Source: Kitaev et al. 2020 (arXiv 2001.04451).
Family: Codes for embeddings
"""

import math
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from attention.encodings._embeddings import put
from attention.positions import inside, table_positions, taken
from attention.records import Encoding

__all__ = ["axial_positions"]

Form = Literal["concat", "sum"]


def axial_positions(
    columns: Float[Array, "L1 D1"], rows: Float[Array, "L2 D2"], positions: Int[Array, "*B T"], *, form: Form = "concat"
) -> Float[Array, "*B T D"]:
    """Positions laid out in rows of L1, ``PE[i] = [U[i mod L1] ‖ W[⌊i / L1⌋]]``, or their sum.

    Args:
      columns: U, ``[L1 D1]``.
      rows: W, ``[L2 D2]``.
      positions: ``[*B T]``.
      form: ``'concat'``, D = D1 + D2, or ``'sum'``, D = D1 = D2.

    Returns:
      ``[*B T D]``; under a trace, NaN for positions outside ``[0, L1·L2)``, which are not defined.

    Raises:
      ValueError: for a position outside ``[0, L1·L2)``, where positions are concrete.

    Example:
      >>> attention.axial_positions(jnp.array([[1.0], [2.0]]), jnp.array([[3.0], [4.0]]), jnp.array([0, 3]))
      [[1.0, 3.0], [2.0, 4.0]]

    Source: Kitaev et al. 2020 (arXiv 2001.04451), whose code concatenates.
    """
    width = columns.shape[0]
    known = inside("the table", width * rows.shape[0], positions)
    positions = jnp.where(known, positions, 0)
    first, second = taken(columns, positions % width), taken(rows, positions // width)
    code = first + second if form == "sum" else jnp.concatenate([first, second], axis=-1)
    return jnp.where(known[..., None], code, jnp.nan)


def build(lengths: tuple[int, ...] | None = None, form: Form = "concat") -> Encoding:
    """Tables of L1 and L2 rows for L1·L2 positions, shared by the layers, N(0, 0.02) at the start.

    ``lengths`` is (L1, L2); None makes them as equal as the longest text of the data allows. ``form='concat'`` gives each table
    half of the channels, the first that of an odd one, ``'sum'`` gives both all of them.
    """
    if lengths is not None and (len(lengths) != 2 or min(lengths) < 1):
        raise ValueError(f"lengths must be None or (L1, L2), both >= 1, got {lengths}")

    def shared(rng, dims):
        D = dims.model_dim
        if form != "sum" and D < 2:
            raise ValueError(f"form='concat' shares the channels between two tables, got {D}")
        rng_columns, rng_rows = jax.random.split(rng)
        (L1, L2), (D1, D2) = lengths or _square(dims.max_length), (D, D) if form == "sum" else (D - D // 2, D // 2)
        return {
            "columns": 0.02 * jax.random.normal(rng_columns, (L1, D1)),
            "rows": 0.02 * jax.random.normal(rng_rows, (L2, D2)),
        }

    def embed(params, x, tokens, call):
        columns, rows = params["columns"], params["rows"]
        positions = table_positions("axial", columns.shape[0] * rows.shape[0], call, x.shape[-2])
        return put(x, axial_positions(columns, rows, positions, form=form))

    return Encoding(shared=shared, embed=embed, max_length=math.prod(lengths) if lengths else "dims")


def _square(length: int | None) -> tuple[int, int]:
    """Two lengths, nearly equal, whose product is at least ``length``."""
    if length is None:
        raise ValueError("axial needs its lengths, or Dims.max_length")
    first = math.isqrt(max(length - 1, 0)) + 1
    return first, -(-length // first)
