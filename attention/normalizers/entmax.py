r"""α-entmax: softmax at α → 1, sparsemax at α = 2, with α fixed or learned per head.

```math
a_j = [(\alpha - 1)s_j - \theta]_+^{1/(\alpha - 1)}
```

The family: softmax as α → 1, `entmax15` at 1.5, `sparsemax` at 2; larger α is sparser still.

When: `alpha='learned'`, $1 + \sigma(\rho)$ per head, lets heads settle between dense and sparse. Fixed at 1.5 and 2 it is
`entmax15` and `sparsemax`. Below about 1.05 precision suffers, as $1/(\alpha-1)$; use softmax. Above 2 weights enter the
support with infinite slope.
Source: Peters et al. 2019 (arXiv 1905.05702); learned α, Correia et al. 2019 (arXiv 1909.00015).
Family: Exact zeros
"""

import math
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from attention.normalizers._common import init_per_head, same_rank
from attention.normalizers._entmax import along_last, back, fixed_entmax, variable_entmax
from attention.records import Normalizer, NormalizerClaims

__all__ = ["entmax"]


def entmax(
    scores: Float[Array, "*A"],
    where: Bool[Array, "..."] | None = None,
    *,
    axis: int = -1,
    alpha: float | Float[Array, "..."] = 1.5,
) -> Float[Array, "*A"]:
    """α-entmax, ``a_j = max((α-1) s_j - θ, 0)^(1/(α-1))`` with θ such that ``Σ_j a_j = 1``.

    Derivatives with ``w_j = a_j^(2-α)`` on the support and ``q = w / Σ w``, ``h_j = a_j log a_j``:
    ``da = w ⊙ (ds - Σ q ds)`` and ``∂a/∂α = (a - q)/(α-1)² - (h - q Σ h)/(α-1)``. Derivatives of second order with respect to
    the scores are supported for α <= 2. For larger ones the first is infinite at the edge of the support already: there weights
    and gradients are as uncertain as the last digit of a score.

    Args:
      scores: ``[..., S]``, any float type; computed in float32 or wider and cast back.
      where: bool, broadcast to ``scores``, True = may attend; None allows all.
      axis: the axis of the keys.
      alpha: α > 1, a number, or an array that broadcasts to ``scores`` with size 1 along ``axis``; differentiable. An array is
        not checked: α <= 1 makes its rows NaN. Weights are exact to about ``1e-7 / (α-1)`` of their size.

    Returns:
      Weights of the shape and type of ``scores``; rows sum to 1, masked entries are exactly 0 with gradient exactly 0, and a
      row without an allowed key is all zeros. A NaN or +inf among the allowed scores of a row, or nothing but -inf,
      makes the row NaN.

    Raises:
      ValueError: for a number α that is not > 1 and finite, or a mask that is not boolean or does not broadcast.

    Example:
      >>> attention.entmax(jnp.array([1.0, 2.0, 0.5, -1.0, 1.8]), alpha=1.75)
      [0.0, 0.583965, 0.0, 0.0, 0.416035]

    Source: Peters, Niculae & Martins 2019 (arXiv 1905.05702); derivative by α, Correia, Niculae & Martins 2019 (arXiv
    1909.00015). Newton's method inside a bracket takes the place of bisection.
    """
    check_alpha(alpha)
    z, mask = along_last(scores, where, axis)
    if isinstance(alpha, (int, float)):
        return back(fixed_entmax(float(alpha), z, mask), mask, scores, axis)
    orders = jnp.moveaxis(same_rank(jnp.asarray(alpha, z.dtype), scores), axis, -1)
    if orders.shape[-1] != 1:
        raise ValueError(f"alpha has one value per row: want size 1 along axis {axis}, got {orders.shape[-1]}")
    return back(variable_entmax(z, mask, jnp.where(orders > 1.0, orders, jnp.nan)), mask, scores, axis)


def check_alpha(alpha) -> None:
    """Refuses a number that is not > 1 and finite; arrays and words pass."""
    if isinstance(alpha, (int, float)) and not (math.isfinite(alpha) and alpha > 1):
        raise ValueError(f"alpha must be a finite number > 1 (softmax is the limit at 1), got {alpha}")


def build(alpha: float | Literal["learned"] = 1.5) -> Normalizer:
    """α-entmax with α fixed, or ``1 + σ(ρ)`` with one ρ per head and layer (``'learned'``, 1.5 at the start)."""
    check_alpha(alpha)

    def apply(params, scores, mask, call):
        if isinstance(alpha, str):
            return entmax(scores, mask, alpha=1.0 + jax.nn.sigmoid(params["alpha_logit"])[:, None, None])
        return entmax(scores, mask, alpha=alpha)

    init = init_per_head(0.0, "alpha_logit") if alpha == "learned" else None
    return Normalizer(apply=apply, init=init, claims=NormalizerClaims(exact_zeros=True))
