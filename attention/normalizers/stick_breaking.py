r"""β_j Π (1 - β_k) over the nearer keys: the stick is broken from the nearest key on. Causal.

```math
a_j = \beta_j \prod_{j < k < i} (1 - \beta_k), \quad \beta = \sigma(s)
```

From the nearest key back, each takes its share of what the nearer ones have left.

When: causal models, without any positional encoding: recency is built in. The query's own key is out, so the first row is
empty; `remainder='self'` gives it what is left over.
Source: Tan et al. 2024 (arXiv 2410.17980); Csordás et al. 2021 (arXiv 2110.07732).
Family: More than one row
"""

from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from attention.normalizers._common import close_weights, open_scores
from attention.precision import widen
from attention.records import Normalizer, NormalizerClaims

__all__ = ["stick_breaking"]


def stick_breaking(
    scores: Float[Array, "*A"], where: Bool[Array, "..."] | None = None, *, axis: int = -1
) -> Float[Array, "*A"]:
    """Stick-breaking weights, ``a_j = β_j Π_{k>j} (1 - β_k)`` with ``β = σ(s)``; the last key is the nearest.

    Each allowed key takes its share of what nearer ones have left, so positions need no encoding. Computed in logarithms.
    Derivatives of second order are supported.

    Args:
      scores: ``[..., S]``, any float type; computed in float32 or wider and cast back.
      where: bool, broadcast to ``scores``, True = may attend; None allows all.
      axis: the axis of the keys.

    Returns:
      Weights of the shape and type of ``scores``; rows sum to at most 1, and what is missing is ``Π (1 - β)``. Masked entries
      are exactly 0 with gradient exactly 0, and a row without an allowed key is all zeros. A NaN score makes its own weight
      and those of the keys before it NaN.

    Raises:
      ValueError: for a mask that is not boolean or does not broadcast.

    Example:
      >>> attention.stick_breaking(jnp.array([0.0, 0.0, 0.0]))
      [0.125, 0.25, 0.5]

    Source: Tan et al. 2024 (arXiv 2410.17980), eq. 2-4; geometric attention, Csordás et al. 2021 (arXiv 2110.07732).
    """
    z = jnp.moveaxis(open_scores(scores, where), axis, -1)
    kept = -jax.nn.softplus(z)  # log (1 - β)
    if where is not None:
        kept = jnp.where(jnp.moveaxis(jnp.broadcast_to(where, scores.shape), axis, -1), kept, 0.0)
    # The sum over the keys after j, and not that from j on less its own: the difference would lose the small ones.
    after = jnp.concatenate([kept[..., 1:], jnp.zeros_like(kept[..., :1])], axis=-1)
    left = jax.lax.cumsum(after, axis=after.ndim - 1, reverse=True)
    return close_weights(jnp.moveaxis(jnp.exp(-jax.nn.softplus(-z) + left), -1, axis), scores, where)


def build(remainder: Literal["nothing", "self"] = "nothing") -> Normalizer:
    """Stick-breaking over the keys before the query, whose own key gets nothing, or what is left over (``'self'``).

    Needs a causal mask. Keys lie in the order of their positions; the query at the first position attends to nothing, or to
    itself.
    """

    def apply(params, scores, mask, call):
        ahead = (call.q_positions[..., :, None] - call.k_positions[..., None, :])[..., None, :, :]
        before = ahead > 0 if mask is None else mask & (ahead > 0)
        weights = stick_breaking(widen(scores), before)
        if remainder == "self":
            own = ahead == 0 if mask is None else mask & (ahead == 0)
            weights = jnp.where(own, 1.0 - jnp.sum(weights, axis=-1, keepdims=True), weights)
        return weights

    return Normalizer(
        apply=apply,
        needs_causal=True,
        positional=True,
        claims=NormalizerClaims(row_sum="one" if remainder == "self" else "at most one", shift_invariant=False),
    )
