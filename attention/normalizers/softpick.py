r"""[e^s - 1]_+ / Σ |e^s - 1|: no key has to be attended to, and weights can be exactly 0.

```math
a_j = \frac{[e^{s_j} - 1]_+}{\sum_k |e^{s_k} - 1|}
```

Keys with negative scores get nothing, but still count in the denominator, so they keep a gradient.

When: no sinks and no outliers are wanted, with zeros that can come back. Key 4 shows it: weight 0, gradient not 0. Masked
keys must leave the denominator, where a mask constant would count as $|e^{-\infty} - 1| = 1$.
Source: Zuhri et al. 2025 (arXiv 2504.20966).
Family: Attending to nothing
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from attention.normalizers._common import close_weights, divide, open_scores
from attention.precision import widen
from attention.records import Normalizer, NormalizerClaims, Streaming

__all__ = ["softpick"]


def softpick(scores: Float[Array, "*A"], where: Bool[Array, "..."] | None = None, *, axis: int = -1) -> Float[Array, "*A"]:
    """Softpick, ``a_j = max(exp(s_j) - 1, 0) / Σ_k |exp(s_k) - 1|``.

    Keys with scores <= 0 get nothing but count in the denominator, where their gradient comes from. Derivatives of second order
    are supported.

    Args:
      scores: ``[..., S]``, any float type; computed in float32 or wider and cast back.
      where: bool, broadcast to ``scores``, True = may attend; None allows all.
      axis: the axis of the keys.

    Returns:
      Weights in [0, 1] of the shape and type of ``scores``; rows sum to at most 1, and to 0 where no score is positive. Masked
      entries are exactly 0 with gradient exactly 0, and a row without an allowed key is all zeros. A NaN or +inf among the
      allowed scores of a row makes the row NaN.

    Raises:
      ValueError: for a mask that is not boolean or does not broadcast.

    Example:
      >>> attention.softpick(jnp.array([1.0, -1.0]))
      [0.7310586, 0.0]

    Source: Zuhri et al. 2025 (arXiv 2504.20966), eq. 1. No ε in the denominator: a row of zero scores has zero weights.
    """
    z = open_scores(scores, where)  # a masked score of 0 adds nothing: |e^0 - 1| = 0
    top = _top(z, axis)
    u = _excess(z, top)
    return close_weights(divide(jax.nn.relu(u), jnp.sum(jnp.abs(u), axis=axis, keepdims=True)), scores, where)


def _top(z: jax.Array, axis: int) -> jax.Array:
    return jax.lax.stop_gradient(jnp.maximum(jnp.max(z, axis=axis, keepdims=True, initial=0.0), 0.0))


def _excess(z: jax.Array, top: jax.Array) -> jax.Array:
    """``e^(z - top) - e^(-top)``, exact near z = 0."""
    large = z > 1.0
    return jnp.where(
        large,
        jnp.exp(jnp.where(large, z, 1.0) - top) - jnp.exp(-top),
        jnp.exp(-top) * jnp.expm1(jnp.where(large, 0.0, z)),
    )


def build() -> Normalizer:
    """The positive part of e^s - 1 over the sum of its sizes."""

    def block(params, scores, mask, count, call):
        z = widen(scores) if mask is None else jnp.where(mask, widen(scores), 0.0)
        top = _top(z, -1)
        u = _excess(z, top)
        return jax.nn.relu(u), jnp.sum(jnp.abs(u), axis=-1, keepdims=True), top

    return Normalizer(
        apply=lambda params, scores, mask, call: softpick(scores, mask),
        streaming=Streaming(block),
        claims=NormalizerClaims(row_sum="at most one", exact_zeros=True, shift_invariant=False),
    )
