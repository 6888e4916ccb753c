r"""The sum of the valid positions: a mean that grows with the text.

```math
y = \sum_t x_t
```

Traps: what the states have in common grows as $n$, so a classifier can read the length off it.
Source: none.
Family: Means, maxima and single states
"""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from attention.poolings._valid import mask_of, text, valid
from attention.records import Pooled, Pooling

__all__ = ["sum_pool"]


def sum_pool(x: Float[Array, "*B T D"], where: Bool[Array, "*#B T"] | None = None) -> Float[Array, "*B D"]:
    """Sum of the positions that count, ``y = Σ_t x_t``.

    Args:
      x: ``[*B T D]``.
      where: bool ``[*#B T]``, the positions that count; None for all.

    Returns:
      ``[*B D]``, computed in float32; zeros where no position counts.

    Example:
      >>> attention.sum_pool(jnp.array([[1.0], [3.0], [9.0]]), jnp.array([True, True, False]))
      [4.0]

    Source: Iyyer et al. 2015 (ACL), the composition before it is averaged.
    """
    return jnp.sum(text(x, mask_of(x, where)), axis=-2).astype(x.dtype)


def build() -> Pooling:
    """The sum, without parameters. Its size says how long the text is."""
    return Pooling(apply=lambda params, x, call: Pooled(sum_pool(x, valid(x, call))))
