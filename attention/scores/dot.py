r"""q·k: the plain dot product.

```math
s_{ij} = q_i \cdot k_j
```

When: queries and keys are short, or have a norm of their own; it is Luong's first score.
Traps: its size grows with √H, and with it softmax sharpens: with 64 numbers per head that start at variance 1, scores have
a standard deviation of 8.
Source: Luong et al. 2015 (arXiv 1508.04025), eq. 8.
Family: Products
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from attention.records import Call, Params, Score

__all__ = ["dot_scores"]


def dot_scores(
    query: Float[Array, "*B T N H"], key: Float[Array, "*B S N H"], *, scale: float = 1.0
) -> Float[Array, "*B N T S"]:
    """Dot products, ``s_ij = scale · q_i·k_j``.

    Args:
      query: ``[*B T N H]``.
      key: ``[*B S N H]``.
      scale: what every product is multiplied by.

    Returns:
      Scores ``[*B N T S]``, float32 (float64 for float64 inputs).

    Example:
      >>> attention.dot_scores(jnp.eye(2)[:, None], jnp.array([[[0.0, 1.0]], [[1.0, 0.0]]]))
      [[[0.0, 1.0], [1.0, 0.0]]]

    Source: Luong et al. 2015 (arXiv 1508.04025), eq. 8 "dot".
    """
    wide = jnp.promote_types(query.dtype, jnp.float32)
    return jnp.einsum("...tnh,...snh->...nts", query * scale, key, preferred_element_type=wide)


def dot_factors(params: Params, query: jax.Array, key: jax.Array, call: Call) -> tuple[jax.Array, jax.Array]:
    """Query and key whose products are the scores ``call.scale · q·k``."""
    return query * call.scale, key


def build() -> Score:
    """The dot product, not scaled."""
    apply = lambda params, query, key, call: dot_scores(query, key, scale=call.scale)
    return Score(apply=apply, factors=dot_factors, dot_product=True)
