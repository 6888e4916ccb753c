r"""normmax: the distribution that trades its score against its α-norm; sparse, and flatter than sparsemax at the top.

```math
a = \arg\max_{p \in \Delta}\; p \cdot s - \lVert p \rVert_\alpha
```

Sparse by a norm in place of an entropy: sets low keys to 0 and stays flatter among those it keeps.

When: several keys should share the weight, the rest be exactly out.
Source: Blondel, Martins & Niculae 2020 (arXiv 1901.02324), section 4.3.
Family: Exact zeros
"""

import functools
import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from attention.normalizers._entmax import along_last, back, nonzero, top_of
from attention.normalizers._threshold import power, threshold, total
from attention.records import Normalizer, NormalizerClaims

__all__ = ["normmax"]


def normmax(
    scores: Float[Array, "*A"], where: Bool[Array, "..."] | None = None, *, axis: int = -1, alpha: float = 2.0
) -> Float[Array, "*A"]:
    """α-normmax, ``a = argmax_p p·s - ||p||_α`` over distributions p.

    ``a_j ∝ max(s_j - θ, 0)^(1/(α-1))`` with θ such that ``Σ_j max(s_j - θ, 0)^(α/(α-1)) = 1``. Derivatives of second order are
    supported for α <= 2.

    Args:
      scores: ``[..., S]``, any float type; computed in float32 or wider and cast back.
      where: bool, broadcast to ``scores``, True = may attend; None allows all.
      axis: the axis of the keys.
      alpha: α > 1.

    Returns:
      Weights of the shape and type of ``scores``; rows sum to 1, masked entries are exactly 0 with gradient exactly 0, and a
      row without an allowed key is all zeros. A NaN or +inf among the allowed scores of a row, or nothing but -inf, makes the
      row NaN.

    Raises:
      ValueError: for an α that is not > 1 and finite, or a mask that is not boolean or does not broadcast.

    Example:
      >>> attention.normmax(jnp.array([1.0, 2.0, 0.5, -1.0, 1.8]))
      [0.0, 0.5714286, 0.0, 0.0, 0.4285714]

    Source: norm-entropies in Blondel, Martins & Niculae 2020 (arXiv 1901.02324), section 4.3.
    """
    _check(alpha)
    z, mask = along_last(scores, where, axis)
    return back(_normmax(float(alpha), z, mask), mask, scores, axis)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _normmax(alpha: float, z: jax.Array, mask: jax.Array | None) -> jax.Array:
    z, top = top_of(z, mask)
    rest = jnp.maximum(z - top + threshold(z, top, 1.0, alpha / (alpha - 1.0)), 0.0)
    weights = rest if alpha == 2.0 else power(rest, 1.0 / (alpha - 1.0))
    return weights / nonzero(total(weights))


@_normmax.defjvp
def _normmax_jvp(alpha, primals, tangents):
    p = _normmax(alpha, *primals)
    inside = p > 0
    # With r = [s - θ]_+ and p = r^c / Σ r^c, c = 1/(α-1): θ moves by p·ds, since Σ r^(c+1) stays 1.
    if alpha == 2.0:
        norm = jnp.sqrt(nonzero(total(p * p)))
        r = p / norm
    else:
        norm = power(total(power(p, alpha)), 1.0 / alpha)
        r = power(p / nonzero(norm), alpha - 1.0)
    dz = jnp.where(inside, tangents[0], 0.0)
    dr = jnp.where(inside, dz - total(p * dz), 0.0)
    relative = p * dr / ((alpha - 1.0) * jnp.where(inside, r, 1.0))
    return p, relative - p * total(relative)


def _check(alpha: float) -> None:
    if not (math.isfinite(alpha) and alpha > 1):
        raise ValueError(f"alpha must be a finite number > 1, got {alpha}")


def build(alpha: float = 2.0) -> Normalizer:
    """α-normmax."""
    _check(alpha)
    return Normalizer(
        apply=lambda params, scores, mask, call: normmax(scores, mask, alpha=alpha), claims=NormalizerClaims(exact_zeros=True)
    )
