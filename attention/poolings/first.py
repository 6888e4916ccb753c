r"""The state of the first valid token: of a text with padding on its left too, and of one that brings its own [CLS].

```math
y = x_{t_1}, \quad t_1 \text{ the first valid position}
```

When: for texts whose own tokens begin with [CLS].
Traps: with a causal mask it sees one token.
Source: Devlin et al. 2018 (arXiv 1810.04805).
Family: Means, maxima and single states
"""

from jaxtyping import Array, Bool, Float

from attention.poolings._valid import end_of, mask_of, valid
from attention.records import Pooled, Pooling

__all__ = ["first_pool"]


def first_pool(x: Float[Array, "*B T D"], where: Bool[Array, "*#B T"] | None = None) -> Float[Array, "*B D"]:
    """The first position that counts, ``x_t`` with ``t = min{t: m_t}``.

    Args:
      x: ``[*B T D]``.
      where: bool ``[*#B T]``, the positions that count; None for all.

    Returns:
      ``[*B D]``; zeros where no position counts.

    Example:
      >>> attention.first_pool(jnp.array([[9.0], [3.0], [1.0]]), jnp.array([False, True, True]))
      [3.0]

    Source: Devlin et al. 2018 (arXiv 1810.04805), section 3, of a text whose tokens begin with [CLS].
    """
    return end_of(x, mask_of(x, where), last=False)


def build() -> Pooling:
    """The first valid state, without parameters and without a token of its own (that is ``cls``)."""
    return Pooling(apply=lambda params, x, call: Pooled(first_pool(x, valid(x, call))))
