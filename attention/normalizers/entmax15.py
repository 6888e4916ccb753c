r"""entmax of α = 1.5: between softmax and sparsemax, smooth and with exact zeros.

```math
a_j = [s_j/(2\tau) - \theta]_+^2
```

Exact zeros, and a smooth way into them.

When: the first sparse one to try. The one-half belongs to it: this is α-entmax of $s$ for α = 1.5, not of $2s$.
Differentiating the textbook algorithm gives NaN (the root of a clamped 0); it has a rule of its own here, as all of this
family.
Source: Peters, Niculae & Martins 2019 (arXiv 1905.05702).
Family: Exact zeros
"""

from typing import Literal

from jaxtyping import Array, Bool, Float

from attention.normalizers._common import check_temperature, open_scores, temperature_of
from attention.normalizers._entmax import ENTMAX15, along_last, back, fixed_entmax
from attention.records import Normalizer, NormalizerClaims

__all__ = ["entmax15"]


def entmax15(
    scores: Float[Array, "*A"],
    where: Bool[Array, "..."] | None = None,
    *,
    axis: int = -1,
    temperature: float | Float[Array, "..."] = 1.0,
) -> Float[Array, "*A"]:
    """1.5-entmax, ``a_j = max(s_j/(2τ) - θ, 0)²`` with θ such that ``Σ_j a_j = 1``.

    Derivative ``da = w ⊙ (ds - Σ w ds / Σ w)`` with ``w = √a``: its own rule, since differentiating the textbook
    algorithm gives NaN. Derivatives of second order are supported, and finite everywhere.

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
      >>> attention.entmax15(jnp.array([1.0, 2.0, 0.5, -1.0, 1.8]))
      [0.0554191, 0.5408317, 0.0, 0.0, 0.4037492]

    Source: Peters, Niculae & Martins 2019 (arXiv 1905.05702), section 3. Newton's method takes the place of the paper's sort.
    """
    check_temperature(temperature)
    z, mask = along_last(open_scores(scores, where) / temperature, where, axis)
    return back(fixed_entmax(ENTMAX15, z, mask), mask, scores, axis)


def build(temperature: float | Literal["learned"] = 1.0) -> Normalizer:
    """1.5-entmax at a fixed temperature, or at one learned per head and layer (``'learned'``, starting at 1)."""
    tau = temperature_of(temperature)

    def apply(params, scores, mask, call):
        return entmax15(scores, mask, temperature=tau.of(params))

    return Normalizer(apply=apply, init=tau.init, claims=NormalizerClaims(exact_zeros=True))
