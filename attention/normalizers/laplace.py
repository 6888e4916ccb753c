r"""½(1 + erf((s-μ)/(σ√2))): a smooth step, fitted to the square of a ReLU.

```math
a_j = \tfrac12\big(1 + \text{erf}\big((s_j - \mu)/(\sigma\sqrt2)\big)\big),
\quad \mu = \sqrt{1/2},\; \sigma = \sqrt{1/4\pi}
```

A smooth step with the value and slope of relu² at √2, but bounded.

When: in place of relu² where its growth is a nuisance. The step is steep: key 2 is full, and has next to no gradient.
Nothing divides by n: the output grows with the number of keys above μ.
Source: Ma et al. 2022 (arXiv 2209.10655).
Family: Each key on its own
"""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from attention.normalizers._common import check_positive, close_weights, open_scores, pointwise_streaming
from attention.records import Normalizer, NormalizerClaims

__all__ = ["laplace"]

MEAN = math.sqrt(0.5)
DEVIATION = math.sqrt(0.25 / math.pi)


def laplace(
    scores: Float[Array, "*A"],
    where: Bool[Array, "..."] | None = None,
    *,
    axis: int = -1,
    mean: float = MEAN,
    deviation: float = DEVIATION,
) -> Float[Array, "*A"]:
    """The Laplace attention function, ``a_j = ½ (1 + erf((s_j - μ) / (σ √2)))``.

    With ``μ = √½`` and ``σ = √(1/4π)`` it meets the squared ReLU at ``√2`` in value and slope, and is bounded. Derivatives of
    second order are supported.

    Args:
      scores: ``[..., S]``, any float type; computed in float32 or wider and cast back.
      where: bool, broadcast to ``scores``, True = may attend; None allows all.
      axis: the axis of the keys.
      mean: μ, finite.
      deviation: σ > 0.

    Returns:
      Weights in [0, 1] of the shape and type of ``scores``, which sum to anything; far below μ they round to 0. Masked entries
      are exactly 0 with gradient exactly 0, so a row without an allowed key is all zeros. A NaN score makes its own weight NaN.

    Raises:
      ValueError: for a deviation that is not positive, a mean that is not finite, or a mask that is not boolean or does not
        broadcast.

    Example:
      >>> attention.laplace(jnp.array([1.0, 0.5]))
      [0.85043, 0.2314212]

    Source: Ma et al. 2022 (arXiv 2209.10655), section 3.4.
    """
    _check(mean, deviation)
    return close_weights(_step(open_scores(scores, where), mean, deviation), scores, where)


def _step(z: jax.Array, mean: float, deviation: float) -> jax.Array:
    # erfc keeps the small weights that 1 + erf rounds away
    return 0.5 * _erfc((mean - z) * (math.sqrt(0.5) / deviation))


@jax.custom_jvp
def _erfc(x: jax.Array) -> jax.Array:
    """Its derivative is written out, since that of jax 0.12 cannot be traced under ``shard_map``."""
    return jax.lax.erfc(x)


_erfc.defjvps(lambda tangent, _, x: -2 / math.sqrt(math.pi) * jnp.exp(-x * x) * tangent)


def _check(mean: float, deviation: float) -> None:
    check_positive("deviation", deviation)
    if not math.isfinite(mean):
        raise ValueError(f"mean must be a finite number, got {mean}")


def build(mean: float = MEAN, deviation: float = DEVIATION) -> Normalizer:
    """The integral of a normal distribution with ``mean`` and ``deviation`` as weight."""
    _check(mean, deviation)
    return Normalizer(
        apply=lambda params, scores, mask, call: laplace(scores, mask, mean=mean, deviation=deviation),
        reads="block",
        streaming=pointwise_streaming(lambda params, z, count, call: _step(z, mean, deviation)),
        claims=NormalizerClaims(row_sum="any", shift_invariant=False),
    )
