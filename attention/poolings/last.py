r"""The state of the last valid token: under a causal mask the one that has seen the whole text.

```math
y = x_{t_n}, \quad t_n \text{ the last valid position}
```

When: for a causal mask, where that token alone has seen everything, or for a recurrence.
Source: Radford et al. 2018 (GPT).
Family: Means, maxima and single states
"""

from jaxtyping import Array, Bool, Float

from attention.poolings._valid import end_of, mask_of, valid
from attention.records import Pooled, Pooling

__all__ = ["last_pool"]


def last_pool(x: Float[Array, "*B T D"], where: Bool[Array, "*#B T"] | None = None) -> Float[Array, "*B D"]:
    """The last position that counts, ``x_t`` with ``t = max{t: m_t}``.

    Args:
      x: ``[*B T D]``.
      where: bool ``[*#B T]``, the positions that count; None for all.

    Returns:
      ``[*B D]``; zeros where no position counts.

    Example:
      >>> attention.last_pool(jnp.array([[1.0], [3.0], [9.0]]), jnp.array([True, True, False]))
      [3.0]

    Source: Radford et al. 2018 (GPT), section 3.2.
    """
    return end_of(x, mask_of(x, where), last=True)


def build() -> Pooling:
    """The last valid state, without parameters; with ``mask=causal`` for a causal model."""
    return Pooling(apply=lambda params, x, call: Pooled(last_pool(x, valid(x, call))))
