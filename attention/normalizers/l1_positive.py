r"""g(s) / Σ g(s) with g positive: softplus, relu or elu + 1 in place of the exponential.

```math
a_j = g(s_j) / \textstyle\sum_k g(s_k), \quad g \in \{\text{softplus}, \text{relu}, \text{elu} + 1\}
```

Softmax with a tamer function: exponential far below 0, linear above.

When: large scores should win by their ratio, not by its exponential. Computed in logarithms, so rows far below 0 keep
their sum. With relu a row without a positive score is empty.
Source: elu + 1 after Katharopoulos et al. 2020 (arXiv 2006.16236), applied to scores here; the rest is folklore.
Family: Without the exponential
"""

from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from attention.normalizers._common import close_weights, divide, exponential_streaming, exponentials, open_scores
from attention.precision import widen
from attention.records import Normalizer, NormalizerClaims

__all__ = ["l1_positive"]

Map = Literal["softplus", "relu", "elu1"]


def _log_softplus(s: jax.Array) -> jax.Array:
    """log log(1 + e^s): s far below 0, where softplus is e^s."""
    low = s < -15.0
    return jnp.where(low, s - 0.5 * jnp.exp(jnp.where(low, s, 0.0)), jnp.log(jax.nn.softplus(jnp.where(low, 0.0, s))))


def _log_relu(s: jax.Array) -> jax.Array:
    positive = s > 0.0
    return jnp.where(positive, jnp.log(jnp.where(positive, s, 1.0)), -jnp.inf)


def _log_elu1(s: jax.Array) -> jax.Array:
    """log(elu(s) + 1): s below 0, log(1 + s) above."""
    return jnp.where(s > 0.0, jnp.log1p(jnp.maximum(s, 0.0)), s)


# Logarithms, so that rows far below 0 keep their sum of 1.
LOGARITHMS = {"softplus": _log_softplus, "relu": _log_relu, "elu1": _log_elu1}


def l1_positive(
    scores: Float[Array, "*A"], where: Bool[Array, "..."] | None = None, *, axis: int = -1, map: Map = "softplus"
) -> Float[Array, "*A"]:
    """Positive values divided by their sum, ``a_j = g(s_j) / Σ_k g(s_k)``. Derivatives of second order are supported.

    Args:
      scores: ``[..., S]``, any float type; computed in float32 or wider and cast back.
      where: bool, broadcast to ``scores``, True = may attend; None allows all.
      axis: the axis of the keys.
      map: g: softplus, relu, or elu1, which is ``elu(s) + 1``.

    Returns:
      Weights in [0, 1] of the shape and type of ``scores``; rows sum to 1, for relu to 0 where no score is positive. Masked
      entries are exactly 0 with gradient exactly 0, and a row without an allowed key is all zeros. A NaN or +inf among the
      allowed scores of a row makes the row NaN.

    Raises:
      ValueError: for another map, or a mask that is not boolean or does not broadcast.

    Example:
      >>> attention.l1_positive(jnp.array([1.0, 3.0, -1.0]), map="relu")
      [0.25, 0.75, 0.0]

    Source: elu + 1 as in Katharopoulos et al. 2020 (arXiv 2006.16236), applied to scores; otherwise folklore.
    """
    _check(map)
    z = LOGARITHMS[map](open_scores(scores, where))
    u, _ = exponentials(z if where is None else jnp.where(where, z, -jnp.inf), axis)
    return close_weights(divide(u, jnp.sum(u, axis=axis, keepdims=True)), scores, where)


def _check(map: str) -> None:
    if map not in LOGARITHMS:
        raise ValueError(f"map must be one of {', '.join(LOGARITHMS)}, got {map!r}")


def build(map: Map = "softplus") -> Normalizer:
    """A positive ``map`` of the scores, divided by its sum."""
    _check(map)
    return Normalizer(
        apply=lambda params, scores, mask, call: l1_positive(scores, mask, map=map),
        streaming=exponential_streaming(lambda params, scores, count, call: LOGARITHMS[map](widen(scores))),
        claims=NormalizerClaims(
            row_sum="at most one" if map == "relu" else "one", exact_zeros=map == "relu", shift_invariant=False
        ),
    )
