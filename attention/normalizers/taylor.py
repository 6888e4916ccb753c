r"""T_p(s) / Σ T_p(s): the exponential replaced by its Taylor polynomial of even order.

```math
a_j = \frac{T_p(s_j)}{\sum_k T_p(s_k)}, \quad T_2(s) = 1 + s + s^2/2
```

Softmax with the exponential cut off after an even power: flatter, and polynomial.

When: as a step to linear attention: a polynomial of q·k is a dot product of features. Keep scores in about [-1, ∞): below
its minimum (s = -1 for p = 2) the polynomial rises again, and very negative keys weigh as much as positive ones.
Source: de Brébisson & Vincent 2015 (arXiv 1511.05042).
Family: Without the exponential
"""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from attention.normalizers._common import close_weights, divide, open_scores, ratio_block
from attention.records import Normalizer, NormalizerClaims, Streaming

__all__ = ["taylor"]


def taylor(
    scores: Float[Array, "*A"], where: Bool[Array, "..."] | None = None, *, axis: int = -1, order: int = 2
) -> Float[Array, "*A"]:
    """Taylor softmax, ``a_j = T_p(s_j) / Σ_k T_p(s_k)`` with ``T_p(s) = Σ_{m=0..p} s^m / m!``; ``T_2 = 1 + s + s²/2``.

    Even orders are positive everywhere, but fall and rise again: very negative scores weigh as much as positive ones.
    Derivatives of second order are supported.

    Args:
      scores: ``[..., S]``, any float type; computed in float32 or wider and cast back.
      where: bool, broadcast to ``scores``, True = may attend; None allows all.
      axis: the axis of the keys.
      order: p, even and >= 2. Scores of size up to about 1e38^(1/p) are in range.

    Returns:
      Weights of the shape and type of ``scores``; rows sum to 1, masked entries are exactly 0 with gradient exactly 0, and a
      row without an allowed key is all zeros. A NaN or infinity among the allowed scores of a row makes the row NaN.

    Raises:
      ValueError: for an order that is odd or below 2, or a mask that is not boolean or does not broadcast.

    Example:
      >>> attention.taylor(jnp.array([0.0, 1.0]))  # 1 : 2.5
      [0.2857143, 0.71428573]

    Source: de Brébisson & Vincent 2015 (arXiv 1511.05042), section 3.2.
    """
    _check(order)
    u = _polynomial(open_scores(scores, where), order)
    u = u if where is None else jnp.where(where, u, 0.0)
    return close_weights(divide(u, jnp.sum(u, axis=axis, keepdims=True)), scores, where)


def _polynomial(s: jax.Array, order: int) -> jax.Array:
    value = jnp.full_like(s, 1.0 / math.factorial(order))
    for m in reversed(range(order)):
        value = value * s + 1.0 / math.factorial(m)
    return value


def _check(order: int) -> None:
    if order < 2 or order % 2:
        raise ValueError(f"order must be even and >= 2, where the polynomial is positive, got {order}")


def build(order: int = 2) -> Normalizer:
    """The Taylor polynomial of an even ``order`` in place of the exponential."""
    _check(order)
    return Normalizer(
        apply=lambda params, scores, mask, call: taylor(scores, mask, order=order),
        streaming=Streaming(
            block=lambda params, scores, mask, count, call: ratio_block(_polynomial(open_scores(scores, mask), order), mask),
            start=lambda params, call: (0.0, 0.0),
        ),
        claims=NormalizerClaims(shift_invariant=False),
    )
