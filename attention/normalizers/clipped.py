r"""clip((ζ - γ) softmax(s) + γ, 0, 1): softmax stretched, so that it reaches 0 and 1.

```math
a = \text{clip}\big((\zeta - \gamma)\,\text{softmax}(s) + \gamma,\; 0,\; 1\big)
```

Softmax stretched a little beyond [0, 1] and cut: it reaches 0 at finite scores, and 1 where ζ > 1.

When: models to be quantised: a head can do nothing without driving scores to infinity. For lengths that vary take
`gamma=None, alpha=4`, which is γ = -4/n; a fixed γ cuts everything once weights are below |γ|, as all are in long flat
rows.
Source: Bondarenko et al. 2023 (arXiv 2306.12929).
Family: Attending to nothing
"""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from attention.normalizers._common import allowed_keys, check_where, close_weights
from attention.normalizers.softmax import softmax
from attention.precision import widen
from attention.records import Normalizer, NormalizerClaims

__all__ = ["clipped"]


def clipped(
    scores: Float[Array, "*A"],
    where: Bool[Array, "..."] | None = None,
    *,
    axis: int = -1,
    gamma: float | None = -0.03,
    zeta: float = 1.0,
    alpha: float | None = None,
) -> Float[Array, "*A"]:
    """Clipped softmax, ``a = clip((ζ - γ) softmax(s) + γ, 0, 1)``.

    A head can do nothing without scores that run off to infinity, which is what makes outliers that resist quantisation.
    Where the clip acts the gradient is 0. Derivatives of second order are supported.

    Args:
      scores: ``[..., S]``, any float type; computed in float32 or wider and cast back.
      where: bool, broadcast to ``scores``, True = may attend; None allows all.
      axis: the axis of the keys.
      gamma: γ <= 0, finite; None where ``alpha`` is given.
      zeta: ζ >= 1, finite.
      alpha: gives ``γ = -α / n_i`` with n_i the number of allowed keys, >= 0.

    Returns:
      Weights in [0, 1] of the shape and type of ``scores``; rows sum to about 1, masked entries are exactly 0 with gradient
      exactly 0, and a row without an allowed key is all zeros. A NaN or +inf among the allowed scores of a row makes the row
      NaN.

    Raises:
      ValueError: for options out of range, both or neither of gamma and alpha, or a mask that is not boolean or does not
        broadcast.

    Example:
      >>> attention.clipped(jnp.array([0.0, 4.0]))
      [0.0, 0.9814736]

    Source: Bondarenko et al. 2023 (arXiv 2306.12929), eq. 4; ``alpha`` is its section 5.1.
    """
    _check(gamma, zeta, alpha)
    check_where(scores, where)
    low = jnp.asarray(gamma) if alpha is None else -alpha / allowed_keys(scores, where, axis)
    stretched = (zeta - low) * softmax(widen(scores), where, axis=axis) + low
    weights = jax.nn.relu(stretched)
    return close_weights(weights if zeta == 1.0 else jnp.minimum(weights, 1.0), scores, where)  # at ζ = 1 none exceeds 1


def _check(gamma: float | None, zeta: float, alpha: float | None) -> None:
    if (gamma is None) == (alpha is None):
        raise ValueError(f"give gamma or alpha, and the other as None, got gamma={gamma} and alpha={alpha}")
    if gamma is not None and not -math.inf < gamma <= 0:
        raise ValueError(f"gamma must be a finite number <= 0, got {gamma}")
    if alpha is not None and not 0 <= alpha < math.inf:
        raise ValueError(f"alpha must be a finite number >= 0, got {alpha}")
    if not 1 <= zeta < math.inf:
        raise ValueError(f"zeta must be a finite number >= 1, got {zeta}")


def build(gamma: float | None = -0.03, zeta: float = 1.0, alpha: float | None = None) -> Normalizer:
    """Softmax stretched to [γ, ζ] and cut to [0, 1]; ``gamma=None, alpha=4`` makes γ = -4 / n_i."""
    _check(gamma, zeta, alpha)
    return Normalizer(
        apply=lambda params, scores, mask, call: clipped(scores, mask, gamma=gamma, zeta=zeta, alpha=alpha),
        claims=NormalizerClaims(row_sum="at most one" if zeta == 1 else "any", exact_zeros=True),
    )
