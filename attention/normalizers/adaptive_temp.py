r"""Softmax whose temperature falls with its entropy: sharpens long rows at test time.

```math
a = \text{softmax}(\beta s), \quad \beta = \max(\text{poly}(E), 1) \text{ if } E > 0.5 \text{ else } 1,
\quad E = \text{entropy of softmax}(s)
```

Softmax that sharpens where it would be flat; the polynomial of degree 4 is fitted.

When: at test time, on a trained model that has to choose among more keys than it saw (`when='evaluation'`, the default,
trains with plain softmax; `'always'` does not). The coefficients were fitted on one task.
Source: Veličković et al. 2024 (arXiv 2410.01104).
Family: Softmax and its scale
"""

import functools
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from attention.normalizers._common import open_scores
from attention.normalizers.softmax import softmax
from attention.precision import widen
from attention.records import Normalizer

__all__ = ["adaptive_temp"]

# Highest power first.
POLYNOMIAL = (-0.037, 0.481, -2.3, 4.917, -1.791)


def adaptive_temp(scores: Float[Array, "*A"], where: Bool[Array, "..."] | None = None, *, axis: int = -1) -> Float[Array, "*A"]:
    """Adaptive temperature, ``a = softmax(β s)`` with ``β = max(poly(E), 1)`` where the entropy E of softmax(s) is above 0.5.

    ``poly(E) = -0.037 E⁴ + 0.481 E³ - 2.3 E² + 4.917 E - 1.791``, fitted to how models trained on short rows disperse on long
    ones; β = 1 for entropies up to 0.5. Derivatives of second order are supported.

    Args:
      scores: ``[..., S]``, any float type; computed in float32 or wider and cast back.
      where: bool, broadcast to ``scores``, True = may attend; None allows all.
      axis: the axis of the keys.

    Returns:
      Weights of the shape and type of ``scores``; rows sum to 1, masked entries are exactly 0 with gradient exactly 0, and a
      row without an allowed key is all zeros. A NaN or +inf among the allowed scores of a row makes the row NaN.

    Raises:
      ValueError: for a mask that is not boolean or does not broadcast.

    Example:
      >>> attention.adaptive_temp(jnp.array([0.0, 1.0]))
      [0.2689414, 0.7310586]

    Source: Veličković et al. 2024 (arXiv 2410.01104), section 4 and its listing.
    """
    wide = open_scores(scores, where)
    plain = softmax(wide, where, axis=axis)
    entropy = -jnp.sum(jax.scipy.special.xlogy(plain, jnp.where(plain > 0, plain, 1.0)), axis=axis, keepdims=True)
    fitted = functools.reduce(lambda y, factor: y * entropy + factor, POLYNOMIAL, jnp.zeros_like(entropy))
    beta = jnp.where(entropy > 0.5, jnp.maximum(fitted, 1.0), 1.0)
    return softmax(wide * beta, where, axis=axis).astype(scores.dtype)


def build(when: Literal["evaluation", "always"] = "evaluation") -> Normalizer:
    """Softmax in training and the adaptive temperature in evaluation, as its paper has it, or always the latter."""

    def apply(params, scores, mask, call):
        function = softmax if call.train and when == "evaluation" else adaptive_temp
        return function(widen(scores), mask)

    return Normalizer(apply=apply, by_mode=when == "evaluation")
