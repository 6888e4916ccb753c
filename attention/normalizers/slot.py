r"""Softmax over the queries, then a weighted mean over the keys: queries compete for keys.

```math
c_{ij} = \frac{e^{s_{ij}}}{\sum_{i'} e^{s_{i'j}}} + \varepsilon, \quad a_{ij} = \frac{c_{ij}}{\sum_{j'} c_{ij'}}
```

Inverted: the softmax is over the queries.

When: few queries (slots) that should divide the input among them.
Source: Locatello et al. 2020 (arXiv 2006.15055).
Family: More than one row
"""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from attention.normalizers._common import close_weights, divide, exponentials, open_scores
from attention.records import Normalizer

__all__ = ["slot"]


def slot(
    scores: Float[Array, "*A"],
    where: Bool[Array, "..."] | None = None,
    *,
    axis: int = -1,
    query_axis: int = -2,
    epsilon: float = 1e-8,
) -> Float[Array, "*A"]:
    """Slot (inverted) attention, ``c_ij = exp(s_ij) / Σ_i exp(s_ij) + ε`` over the queries, then ``a_ij = c_ij / Σ_j c_ij``.

    Every key spreads a weight of 1 over the queries, which compete for it. Rows couple: a causal model would look ahead.
    Derivatives of second order are supported.

    Args:
      scores: ``[..., S]``, any float type; computed in float32 or wider and cast back.
      where: bool, broadcast to ``scores``, True = may attend; None allows all.
      axis: the axis of the keys.
      query_axis: the axis of the queries.
      epsilon: ε >= 0; with ε > 0 a query that lost every key gets the mean of all, without it nothing.

    Returns:
      Weights of the shape and type of ``scores``; rows sum to 1 (to 0 for a query that lost every key, at ε = 0), masked
      entries are exactly 0 with gradient exactly 0, and a row without an allowed key is all zeros. Padded queries have to be
      masked too. A NaN or +inf reaches its column and every row.

    Raises:
      ValueError: for a negative epsilon, or a mask that is not boolean or does not broadcast.

    Example:
      >>> attention.slot(jnp.array([[0.0, 0.0], [0.0, 5.0]]))
      [[0.986791, 0.013209], [0.3348273, 0.6651727]]

    Source: Locatello et al. 2020 (arXiv 2006.15055), algorithm 1. ε is added to allowed keys only.
    """
    _check(epsilon)
    u, _ = exponentials(open_scores(scores, where, fill=-jnp.inf), query_axis)
    competing = divide(u, jnp.sum(u, axis=query_axis, keepdims=True)) + epsilon
    competing = competing if where is None else jnp.where(where, competing, 0.0)
    return close_weights(divide(competing, jnp.sum(competing, axis=axis, keepdims=True)), scores, where)


def _check(epsilon: float) -> None:
    if not 0 <= epsilon < 1:
        raise ValueError(f"epsilon must be in [0, 1), got {epsilon}")


def build(epsilon: float = 1e-8) -> Normalizer:
    """Softmax over the queries, then rows divided by their sums; not for causal models, and without the chunked kernel."""
    _check(epsilon)
    return Normalizer(apply=lambda params, scores, mask, call: slot(scores, mask, epsilon=epsilon), reads="all")
