r"""e^s / (e^b + Σ e^s): softmax with a sink, whose logit b is learned per head.

```math
a_j = \frac{e^{s_j}}{e^{b} + \sum_k e^{s_k}}
```

`softmax1` whose level of rest, b, is learned per head.

When: as `softmax1`, in models that stream or drop early tokens, which are the sinks that softmax makes for itself. b → -∞
is softmax, b = 0 is `softmax1`.
Source: gpt-oss model card (arXiv 2508.10925).
Family: Attending to nothing
"""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from attention.normalizers._common import close_weights, exponential_streaming, exponentials, init_per_head, open_scores
from attention.precision import widen
from attention.records import Normalizer, NormalizerClaims

__all__ = ["sink"]


def sink(
    scores: Float[Array, "*A"],
    where: Bool[Array, "..."] | None = None,
    *,
    axis: int = -1,
    logit: float | Float[Array, "..."] = 0.0,
) -> Float[Array, "*A"]:
    """Softmax with a sink in the denominator alone, ``a_j = exp(s_j) / (exp(b) + Σ_k exp(s_k))``.

    b → -∞ is softmax, b = 0 is softmax1. The sink is neither scaled nor capped. Derivatives of second order are supported.

    Args:
      scores: ``[..., S]``, any float type; computed in float32 or wider and cast back.
      where: bool, broadcast to ``scores``, True = may attend; None allows all.
      axis: the axis of the keys.
      logit: b, a number or an array that broadcasts to ``scores`` with size 1 along ``axis``; differentiable.

    Returns:
      Weights of the shape and type of ``scores``; rows sum to less than 1, masked entries are exactly 0 with gradient exactly
      0, and a row without an allowed key is all zeros. A NaN or +inf among the allowed scores of a row makes the row NaN.

    Raises:
      ValueError: for a mask that is not boolean or does not broadcast.

    Example:
      >>> attention.sink(jnp.array([0.0, 0.0]), logit=jnp.log(2.0))
      [0.25, 0.25]

    Source: gpt-oss model card (arXiv 2508.10925), section 2.3.
    """
    z = open_scores(scores, where, fill=-jnp.inf)
    logit = jnp.asarray(logit, z.dtype)
    u, top = exponentials(z, axis, floor=jax.lax.stop_gradient(logit))
    return close_weights(u / (jnp.exp(logit - top) + jnp.sum(u, axis=axis, keepdims=True)), scores, where)


def build(logit: float = 0.0) -> Normalizer:
    """Softmax with a sink whose logit is learned per head and layer, from ``logit`` on."""
    if not math.isfinite(logit):
        raise ValueError(f"logit must be a finite number, got {logit}")
    of = lambda params: params["logit"][:, None, None]
    return Normalizer(
        apply=lambda params, scores, mask, call: sink(scores, mask, logit=of(params)),
        init=init_per_head(logit, "logit"),
        streaming=exponential_streaming(
            lambda params, scores, count, call: widen(scores), start=lambda params, call: (1.0, of(params))
        ),
        claims=NormalizerClaims(row_sum="at most one", shift_invariant=False),
    )
