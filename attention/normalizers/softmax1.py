r"""e^s / (1 + Σ e^s): softmax that may attend to nothing.

```math
a_j = \frac{e^{s_j}}{1 + \sum_k e^{s_k}}
```

Softmax with one more key, of score 0 and value 0.

When: heads should be able to rest without dumping their weight on the first token or a full stop. Stabilise with $\max(0,
\max s)$: the maximum of the scores alone is wrong.
Source: Miller 2023 ("Attention is off by one"); the zero sink of Xiao et al. 2023 (arXiv 2309.17453); `add_zero_attn` in
PyTorch.
Family: Attending to nothing
"""

from jaxtyping import Array, Bool, Float

from attention.normalizers._common import check_where, exponential_streaming
from attention.normalizers.sink import sink
from attention.precision import widen
from attention.records import Normalizer, NormalizerClaims

__all__ = ["softmax1"]


def softmax1(scores: Float[Array, "*A"], where: Bool[Array, "..."] | None = None, *, axis: int = -1) -> Float[Array, "*A"]:
    """Softmax with a 1 more in the denominator, ``a_j = exp(s_j) / (1 + Σ_k exp(s_k))``.

    The same as softmax with one more key that has score 0 and value 0. Derivatives of second order are supported.

    Args:
      scores: ``[..., S]``, any float type; computed in float32 or wider and cast back.
      where: bool, broadcast to ``scores``, True = may attend; None allows all.
      axis: the axis of the keys.

    Returns:
      Weights of the shape and type of ``scores``; rows sum to less than 1, masked entries are exactly 0 with gradient exactly
      0, and a row without an allowed key is all zeros. A NaN or +inf among the allowed scores of a row makes the row NaN.

    Raises:
      ValueError: for a mask that is not boolean or does not broadcast.

    Example:
      >>> attention.softmax1(jnp.array([0.0, 0.0]))
      [0.33333334, 0.33333334]

    Source: Miller 2023 ("Attention is off by one"); the zero sink of Xiao et al. 2023 (arXiv 2309.17453); the ``add_zero_attn``
    of PyTorch.
    """
    check_where(scores, where)
    return sink(scores, where, axis=axis, logit=0.0)


def build() -> Normalizer:
    """Softmax with one more key of score 0 and value 0."""
    return Normalizer(
        apply=lambda params, scores, mask, call: softmax1(scores, mask),
        streaming=exponential_streaming(
            lambda params, scores, count, call: widen(scores), start=lambda params, call: (1.0, 0.0)
        ),
        claims=NormalizerClaims(row_sum="at most one", shift_invariant=False),
    )
