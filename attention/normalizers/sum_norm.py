r"""s / Σ s: the tutorials' slip, division by the sum without the exponential.

```math
a_j = s_j / \textstyle\sum_k s_k
```

When: to show what it does; see the [slips](#slips-seen-in-tutorials). `form='absolute'` divides by $\sum |s_k|$ and is
bounded at least.
Source: none.
Family: Without the exponential
"""

from typing import Literal

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from attention.normalizers._common import check_positive, close_weights, open_scores
from attention.records import Normalizer, NormalizerClaims

__all__ = ["sum_norm"]

Form = Literal["signed", "absolute"]


def sum_norm(
    scores: Float[Array, "*A"],
    where: Bool[Array, "..."] | None = None,
    *,
    axis: int = -1,
    form: Form = "signed",
    epsilon: float = 1e-6,
) -> Float[Array, "*A"]:
    """Division by the sum, ``a_j = s_j / Σ_k s_k``, with the guard ``sign(Σ) max(|Σ|, ε)`` in the denominator.

    Some tutorials call this softmax. Weights may be negative, and where positive and negative scores cancel they are huge:
    (1, -1, 1e-9) has the weights (1e9, -1e9, 1) without the guard. Derivatives of second order are supported.

    Args:
      scores: ``[..., S]``, any float type; computed in float32 or wider and cast back.
      where: bool, broadcast to ``scores``, True = may attend; None allows all.
      axis: the axis of the keys.
      form: ``'signed'`` as above, ``'absolute'`` for ``s_j / Σ_k |s_k|``, which is bounded.
      epsilon: ε > 0, the smallest size of the denominator.

    Returns:
      Weights of any sign, of the shape and type of ``scores``; rows sum to 1 where ``|Σ| >= ε`` and the form is signed, to
      anything else otherwise; masked entries are exactly 0 with gradient exactly 0, and a row without an allowed key is all
      zeros. A NaN or infinity among the allowed scores of a row reaches the whole row.

    Raises:
      ValueError: for another form, an epsilon that is not positive, or a mask that is not boolean or does not broadcast.

    Example:
      >>> attention.sum_norm(jnp.array([1.0, 2.0, -1.0]))
      [0.5, 1.0, -0.5]

    Source: none; a slip seen in several attention tutorials, kept so that one can see what it does. The guard is ours.
    """
    if form not in ("signed", "absolute"):
        raise ValueError(f"form must be 'signed' or 'absolute', got {form!r}")
    check_positive("epsilon", epsilon)
    z = open_scores(scores, where)
    whole = jnp.sum(jnp.abs(z) if form == "absolute" else z, axis=axis, keepdims=True)
    guarded = jnp.where(jnp.abs(whole) < epsilon, jnp.where(whole < 0.0, -epsilon, epsilon), whole)
    return close_weights(z / guarded, scores, where)


def build(form: Form = "signed", epsilon: float = 1e-6) -> Normalizer:
    """Scores divided by their sum (``'signed'``) or by the sum of their sizes (``'absolute'``)."""
    check_positive("epsilon", epsilon)
    apply = lambda params, scores, mask, call: sum_norm(scores, mask, form=form, epsilon=epsilon)
    return Normalizer(apply=apply, claims=NormalizerClaims(row_sum="any", exact_zeros=True, signed=True, shift_invariant=False))
