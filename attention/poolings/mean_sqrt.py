r"""The sum of the valid positions over the square root of their number.

```math
y = \frac{1}{\sqrt n} \sum_t x_t
```

When: to keep the size of a sum of independent states whatever the length.
Traps: what the states have in common grows as $\sqrt n$, so a classifier can read the length off it.
Source: Cer et al. 2018 (arXiv 1803.11175).
Family: Means, maxima and single states
"""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from attention.poolings._valid import mask_of, number, text, valid
from attention.records import Pooled, Pooling

__all__ = ["mean_sqrt_pool"]


def mean_sqrt_pool(x: Float[Array, "*B T D"], where: Bool[Array, "*#B T"] | None = None) -> Float[Array, "*B D"]:
    """Sum over the positions that count by the root of their number n, ``Σ_t m_t x_t / √max(Σ_t m_t, 1)``.

    It is √n times the mean: of n independent states with mean 0 its variance is that of one, whatever n is.

    Args:
      x: ``[*B T D]``.
      where: bool ``[*#B T]``, the positions that count; None for all.

    Returns:
      ``[*B D]``, computed in float32; zeros where no position counts.

    Example:
      >>> attention.mean_sqrt_pool(jnp.array([[1.0], [3.0], [9.0]]), jnp.array([True, True, False]))
      [2.8284271]

    Source: Cer et al. 2018 (universal sentence encoder, arXiv 1803.11175), section 3.1.
    """
    where = mask_of(x, where)
    states = text(x, where)
    return (jnp.sum(states, axis=-2) / jnp.sqrt(number(where, states.dtype))).astype(x.dtype)


def build() -> Pooling:
    """The sum over √n, without parameters."""
    return Pooling(apply=lambda params, x, call: Pooled(mean_sqrt_pool(x, valid(x, call))))
