r"""Softmax over the queries, then over the keys: doubly normalised attention.

```math
c_{ij} = \frac{e^{s_{ij}}}{\sum_{i'} e^{s_{i'j}}}, \quad a_{ij} = \frac{c_{ij}}{\sum_{j'} c_{ij'}}
```

The formula of `slot` without ε, in logarithms, for ordinary layers: no key is explained away.

When: softmax neglects keys that should be used somewhere. The figure equals that of `slot`; they part where a query has
lost every key.
Source: Ding et al. 2020 (arXiv 2009.14308).
Family: More than one row
"""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from attention.normalizers._common import close_weights, open_scores
from attention.normalizers.sinkhorn import log_normalize
from attention.records import Normalizer

__all__ = ["double_norm"]


def double_norm(
    scores: Float[Array, "*A"], where: Bool[Array, "..."] | None = None, *, axis: int = -1, query_axis: int = -2
) -> Float[Array, "*A"]:
    """Doubly normalised attention, ``c_ij = exp(s_ij) / Σ_i exp(s_ij)`` over the queries, then ``a_ij = c_ij / Σ_j c_ij``.

    Every key keeps at least 1/n of its share: none is explained away. The formula is that of slot attention without its ε, but
    computed in logarithms, so that a query that lost every key still weighs them by how it lost them. Rows couple: a causal
    model would look ahead. Derivatives of second order are supported.

    Args:
      scores: ``[..., S]``, any float type; computed in float32 or wider and cast back.
      where: bool, broadcast to ``scores``, True = may attend; None allows all.
      axis: the axis of the keys.
      query_axis: the axis of the queries.

    Returns:
      Weights of the shape and type of ``scores``; rows sum to 1, masked entries are exactly 0 with gradient exactly 0, and a
      row without an allowed key is all zeros. Padded queries have to be masked too. A NaN or +inf reaches its column and
      every row.

    Raises:
      ValueError: for a mask that is not boolean or does not broadcast.

    Example:
      >>> attention.double_norm(jnp.array([[0.0, 0.0], [0.0, 5.0]]))
      [[0.986791, 0.013209], [0.3348273, 0.6651727]]

    Source: Ding et al. 2020 (arXiv 2009.14308), eq. 6-7.
    """
    z = log_normalize(open_scores(scores, where, fill=-jnp.inf), query_axis)
    return close_weights(jnp.exp(log_normalize(z, axis)), scores, where)


def build() -> Normalizer:
    """Softmax over the queries, then over the keys; not for causal models, and without the chunked kernel."""
    return Normalizer(apply=lambda params, scores, mask, call: double_norm(scores, mask), reads="all")
