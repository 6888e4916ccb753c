r"""log softmax(s): no weights at all, but what some tutorials multiply values by; a diagnostic.

```math
a_j = s_j - \log \sum_k e^{s_k}
```

No weights at all: every number is negative, and the least likely key has the largest one.

When: as a diagnostic. Some tutorials multiply values by it, and attention turns inside out. Masked entries are 0 here;
the true value, $-\infty$, would make $-\infty \cdot 0$ = NaN of the sum.
Source: the logarithm of softmax.
Family: Softmax and its scale
"""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from attention.normalizers._common import close_weights, exponentials, open_scores
from attention.records import Normalizer, NormalizerClaims

__all__ = ["log_softmax"]


def log_softmax(scores: Float[Array, "*A"], where: Bool[Array, "..."] | None = None, *, axis: int = -1) -> Float[Array, "*A"]:
    """Logarithms of softmax, ``a_j = s_j - log Σ_k exp(s_k)``; 0, not -inf, where masked, so that sums over keys exist.

    Every "weight" is negative and the least likely key weighs most, so attention turns inside out. Derivatives of second order
    are supported.

    Args:
      scores: ``[..., S]``, any float type; computed in float32 or wider and cast back.
      where: bool, broadcast to ``scores``, True = may attend; None allows all.
      axis: the axis of the keys.

    Returns:
      Values <= 0 of the shape and type of ``scores``; masked entries are exactly 0 with gradient exactly 0, and a row without
      an allowed key is all zeros. A NaN or +inf among the allowed scores of a row makes the row NaN.

    Raises:
      ValueError: for a mask that is not boolean or does not broadcast.

    Example:
      >>> attention.log_softmax(jnp.array([0.0, 0.0]))
      [-0.6931472, -0.6931472]

    Source: the logarithm of Bridle 1990. Deviation: 0 where masked.
    """
    z = open_scores(scores, where, fill=-jnp.inf)
    u, top = exponentials(z, axis)
    sums = jnp.sum(u, axis=axis, keepdims=True)
    shifted = (z if where is None else jnp.where(where, z, 0.0)) - top
    return close_weights(shifted - jnp.log(jnp.where(sums == 0.0, 1.0, sums)), scores, where)


def build() -> Normalizer:
    """Logarithms of softmax in place of weights."""
    apply = lambda params, scores, mask, call: log_softmax(scores, mask)
    # A row of one key has the logarithm of 1.
    return Normalizer(apply=apply, claims=NormalizerClaims(row_sum="any", exact_zeros=True, signed=True))
