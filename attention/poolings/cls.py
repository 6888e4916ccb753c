r"""What the encoder made of a learned token put before the text.

```math
y = x_0, \quad \text{the state of a learned token}
```

When: a token is to gather what the layers find, as in BERT.
Traps: without anything that moves between positions (`encoder=embeddings`) it sees no text, and is refused.
Source: Devlin et al. 2018 (arXiv 1810.04805).
Family: Means, maxima and single states
"""

from jaxtyping import Array, Float

from attention.records import Pooled, Pooling

__all__ = ["cls_pool"]


def cls_pool(x: Float[Array, "*B T D"]) -> Float[Array, "*B D"]:
    """The first position, ``x_0``.

    Args:
      x: ``[*B T D]``, the added token first.

    Returns:
      ``[*B D]``.

    Example:
      >>> attention.cls_pool(jnp.array([[1.0], [3.0]]))
      [1.0]

    Source: Devlin et al. 2018 (arXiv 1810.04805), section 3.
    """
    return x[..., 0, :]


def build() -> Pooling:
    """One learned token, put before the text at position 0."""
    return Pooling(apply=lambda params, x, call: Pooled(cls_pool(x)), extra_tokens=1)
