r"""The mean with weights 1, 2, ..., n: later tokens count more, as they have seen more under a causal mask.

```math
y = \sum_t r_t x_t \Big/ \sum_t r_t, \quad \text{ranks } r = 1 \ldots n
```

When: a causal encoder whose later tokens have seen more, but not only the last is to count.
Traps: without a causal mask it prefers the end of the text for no reason. The ranks are of valid tokens, where code that
numbers positions counts padding on the left.
Source: Muennighoff 2022 (SGPT, arXiv 2202.08904).
Family: Means, maxima and single states
"""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from attention.poolings._valid import mask_of, text, valid
from attention.records import Pooled, Pooling

__all__ = ["weighted_mean_pool"]


def weighted_mean_pool(x: Float[Array, "*B T D"], where: Bool[Array, "*#B T"] | None = None) -> Float[Array, "*B D"]:
    """Mean of the positions that count by their rank r = 1, ..., n among them, ``Σ_t r_t x_t / Σ_t r_t``.

    Args:
      x: ``[*B T D]``.
      where: bool ``[*#B T]``, the positions that count; None for all.

    Returns:
      ``[*B D]``, computed in float32; zeros where no position counts. Padding has no rank, on whichever side it stands.

    Example:
      >>> attention.weighted_mean_pool(jnp.array([[9.0], [1.0], [4.0]]), jnp.array([False, True, True]))
      [3.0]

    Source: Muennighoff 2022 (SGPT, arXiv 2202.08904).
    """
    where = mask_of(x, where)
    states = text(x, where)
    rank = jnp.where(where, jnp.cumsum(where, axis=-1, dtype=states.dtype), 0.0)
    total = jnp.maximum(jnp.sum(rank, axis=-1), 1.0)
    return (jnp.sum(rank[..., None] * states, axis=-2) / total[..., None]).astype(x.dtype)


def build() -> Pooling:
    """The mean by rank, without parameters; with ``mask=causal`` for a causal model."""
    return Pooling(apply=lambda params, x, call: Pooled(weighted_mean_pool(x, valid(x, call))))
