r"""Sine and cosine with a period of half the model's width, added to the embeddings: positions beyond it repeat.

```math
p_{i,2t} = \sin\frac{2 \pi i}{D/2}, \quad p_{i,2t+1} = \cos\frac{2 \pi i}{D/2}
```

One clock hand that all pairs share, once round in D/2 tokens.

Parameters: none.
Claim: none.
Traps: positions D/2 apart are one (for an odd D, D apart): in the figure the rows of queries 16 and 48 coincide. See the
[slips](#slips-seen-in-tutorials-and-references).
Source: a form of tutorials, kept as a failure to learn from.
Family: Forms of tutorials
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Num

from attention.encodings._embeddings import check_dim, check_scale, put
from attention.encodings._rotary import angles
from attention.positions import q_positions
from attention.records import Encoding

__all__ = ["sin_period_d"]


def sin_period_d(positions: Num[Array, "*B T"], dim: int) -> Float[Array, "*B T D"]:
    """One frequency, ``PE[i, 2t] = sin(2π i / (D/2))``, ``PE[i, 2t+1] = cos(2π i / (D/2))``.

    Positions i and i + D/2 have one code (for an odd D, i and i + D), and with D <= 2 all have.

    Args:
      positions: ``[*B T]``, integers of any size, or floats.
      dim: D >= 1.

    Returns:
      ``[*B T D]`` float32, exact to 1e-6 for every int32 position.

    Raises:
      ValueError: for a dimension below 1.

    Example:
      >>> attention.sin_period_d(jnp.array([0, 1, 2]), 8)[:, :2]
      [[0.0, 1.0], [1.0, 0.0], [0.0, -1.0]]

    Source: a form of tutorials, kept because it fails in an instructive way.
    """
    check_dim(dim)
    angle = angles(positions, np.array([4 * np.pi / dim]))
    return jnp.where(jnp.arange(dim) % 2 == 0, jnp.sin(angle), jnp.cos(angle))


def build(scale: float = 1.0) -> Encoding:
    """Sine and cosine of period D/2, times ``scale``."""
    check_scale(scale)

    def embed(params, x, tokens, call):
        T, D = x.shape[-2:]
        return put(x, scale * sin_period_d(q_positions(call, T), D))

    return Encoding(embed=embed)
