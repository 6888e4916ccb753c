r"""The largest value of each channel over the valid positions.

```math
y = \max_t x_t \quad \text{per channel}
```

When: one telling word decides (topics, question types).
Traps: each channel's gradient reaches one token, or is shared by those that tie; most tokens learn nothing from a text.
Source: Collobert et al. 2011 (JMLR 12); Kim 2014 (arXiv 1408.5882).
Family: Means, maxima and single states
"""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from attention.poolings._valid import mask_of, unless_empty, valid
from attention.records import Pooled, Pooling

__all__ = ["max_pool"]


def max_pool(x: Float[Array, "*B T D"], where: Bool[Array, "*#B T"] | None = None) -> Float[Array, "*B D"]:
    """Maximum over the positions that count, ``max_{t: m_t} x_t`` per channel.

    Args:
      x: ``[*B T D]``.
      where: bool ``[*#B T]``, the positions that count; None for all.

    Returns:
      ``[*B D]``; zeros where no position counts. Positions that tie share the gradient.

    Example:
      >>> attention.max_pool(jnp.array([[1.0], [3.0], [9.0]]), jnp.array([True, True, False]))
      [3.0]

    Source: Collobert et al. 2011 (JMLR 12), section 3.3.2; Kim 2014 (arXiv 1408.5882).
    """
    where = mask_of(x, where)
    top = jnp.max(x, axis=-2, where=where[..., None], initial=-jnp.inf)
    return unless_empty(top, where).astype(x.dtype)


def build() -> Pooling:
    """The maximum, without parameters."""
    return Pooling(apply=lambda params, x, call: Pooled(max_pool(x, valid(x, call))))
