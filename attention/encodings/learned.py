r"""A learned vector per position, added to the embeddings.

```math
p_i = E_i, \quad E \in \mathbb{R}^{L \times D}
```

The vectors are learned like those of words.

Parameters: a table for `max_length` positions, or for the longest text of the data; N(0, 0.02) at the start, where all
positions are as unlike as random vectors are.
Claim: none beyond the table. BERT's and GPT's choice.
Traps: undefined past the table: an error here, the last row in code that lets JAX clamp. Late positions are rare in
training and stay near their start. x-transformers multiplies its table by $D^{-1/2}$.
Source: Gehring et al. 2017 (arXiv 1705.03122), Devlin et al. 2018 (arXiv 1810.04805).
Family: Codes for embeddings
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from attention.positions import inside, table_positions, taken
from attention.records import Encoding

__all__ = ["look_up_positions"]


def look_up_positions(table: Float[Array, "L D"], positions: Int[Array, "*B T"]) -> Float[Array, "*B T D"]:
    """Rows of a table of positions, ``PE[i] = table[i]``.

    Args:
      table: ``[L D]``.
      positions: ``[*B T]``.

    Returns:
      ``[*B T D]``; under a trace, NaN for positions outside ``[0, L)``, which are not defined.

    Raises:
      ValueError: for a position outside ``[0, L)``, where positions are concrete.

    Example:
      >>> attention.look_up_positions(jnp.eye(2), jnp.array([1]))
      [[0.0, 1.0]]

    Source: Gehring et al. 2017 (arXiv 1705.03122), Devlin et al. 2018 (arXiv 1810.04805).
    """
    known = inside("the table", table.shape[0], positions)
    return jnp.where(known[..., None], taken(table, jnp.where(known, positions, 0)), jnp.nan)


def build(max_length: int | None = None) -> Encoding:
    """A table of ``max_length`` positions (None for the longest text of the data), N(0, 0.02) at the start."""
    if max_length is not None and max_length < 1:
        raise ValueError(f"max_length must be None or >= 1, got {max_length}")

    def shared(rng, dims):
        length = max_length or dims.max_length
        if length is None:
            raise ValueError("learned needs its max_length, or Dims.max_length")
        return {"table": 0.02 * jax.random.normal(rng, (length, dims.model_dim))}

    def embed(params, x, tokens, call):
        table = params["table"]
        positions = table_positions("learned", table.shape[0], call, x.shape[-2])
        return x + look_up_positions(table, positions).astype(x.dtype)

    return Encoding(shared=shared, embed=embed, max_length=max_length or "dims")
