r"""sparsemax(s/τ): the nearest point of the simplex, with exact zeros.

```math
a = \arg\min_{p \in \Delta} \lVert p - s/\tau \rVert^2, \quad a_j = [s_j/\tau - \theta]_+
```

One threshold θ: zeros below it, straight lines above.

When: few keys matter and weights are to be read or to skip work. A lead of 1 over all others gives one-hot. The gradient
is the upstream one less its mean over the support; off the support it is 0, so a key that fell out comes back only when
others drop. θ is found without a sort, by Newton's method on a convex piecewise linear function.
Source: Martins & Astudillo 2016 (arXiv 1602.02068).
Family: Exact zeros
"""

from typing import Literal

from jaxtyping import Array, Bool, Float

from attention.normalizers._common import check_temperature, open_scores, temperature_of
from attention.normalizers._entmax import SPARSEMAX, along_last, back, fixed_entmax
from attention.records import Normalizer, NormalizerClaims

__all__ = ["sparsemax"]


def sparsemax(
    scores: Float[Array, "*A"],
    where: Bool[Array, "..."] | None = None,
    *,
    axis: int = -1,
    temperature: float | Float[Array, "..."] = 1.0,
) -> Float[Array, "*A"]:
    """Euclidean projection onto the simplex, ``a_j = max(s_j/τ - θ, 0)`` with θ such that ``Σ_j a_j = 1``.

    The threshold θ is found without sorting: Newton's method on the convex, piecewise linear ``Σ_j max(s_j - θ, 0) - 1`` starts
    left of its root, rises towards it and stops after finitely many steps. On the support ``da_j = ds_j - mean_support(ds)``,
    off it 0. Derivatives of second order are supported; they vanish.

    Args:
      scores: ``[..., S]``, any float type; computed in float32 or wider and cast back.
      where: bool, broadcast to ``scores``, True = may attend; None allows all.
      axis: the axis of the keys.
      temperature: τ > 0, a number or an array that broadcasts to ``scores``.

    Returns:
      Weights of the shape and type of ``scores``; rows sum to 1, masked entries are exactly 0 with gradient exactly 0, and a
      row without an allowed key is all zeros. A NaN or +inf among the allowed scores of a row, or nothing but -inf,
      makes the row NaN.

    Raises:
      ValueError: for a temperature that is not positive, or a mask that is not boolean or does not broadcast.

    Example:
      >>> attention.sparsemax(jnp.array([1.0, 2.0, 0.5, -1.0, 1.8]))
      [0.0, 0.6, 0.0, 0.0, 0.4]

    Source: Martins & Astudillo 2016 (arXiv 1602.02068), eq. 2-3 and 12. The threshold search differs from the paper's sort.
    """
    check_temperature(temperature)
    z, mask = along_last(open_scores(scores, where) / temperature, where, axis)
    return back(fixed_entmax(SPARSEMAX, z, mask), mask, scores, axis)


def build(temperature: float | Literal["learned"] = 1.0) -> Normalizer:
    """Sparsemax at a fixed temperature, or at one learned per head and layer (``'learned'``, starting at 1)."""
    tau = temperature_of(temperature)

    def apply(params, scores, mask, call):
        return sparsemax(scores, mask, temperature=tau.of(params))

    return Normalizer(apply=apply, init=tau.init, claims=NormalizerClaims(exact_zeros=True))
