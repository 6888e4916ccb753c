r"""The mean of the valid positions.

```math
y = \frac{1}{n} \sum_t x_t
```

When: the default and the baseline to beat.
Traps: a padded mean divided by the padded length is the commonest slip; here $n$ counts valid tokens. The size of a mean of
independent states falls as $1/\sqrt n$.
Source: Iyyer et al. 2015 (ACL).
Family: Means, maxima and single states
"""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from attention.poolings._valid import mask_of, number, text, valid
from attention.records import Pooled, Pooling

__all__ = ["mean_pool"]


def mean_pool(x: Float[Array, "*B T D"], where: Bool[Array, "*#B T"] | None = None) -> Float[Array, "*B D"]:
    """Mean over the positions that count, ``Σ_t m_t x_t / max(Σ_t m_t, 1)``.

    Args:
      x: ``[*B T D]``.
      where: bool ``[*#B T]``, the positions that count; None for all.

    Returns:
      ``[*B D]``, computed in float32; zeros where no position counts.

    Example:
      >>> attention.mean_pool(jnp.array([[1.0], [3.0], [9.0]]), jnp.array([True, True, False]))
      [2.0]

    Source: Iyyer et al. 2015 (deep averaging networks, ACL).
    """
    where = mask_of(x, where)
    states = text(x, where)
    return (jnp.sum(states, axis=-2) / number(where, states.dtype)).astype(x.dtype)


def build() -> Pooling:
    """The mean, without parameters."""
    return Pooling(apply=lambda params, x, call: Pooled(mean_pool(x, valid(x, call))))
