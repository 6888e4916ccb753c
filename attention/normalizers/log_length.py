r"""softmax(s · log n / log n_train): the free control of scalable softmax.

```math
a = \text{softmax}\left(\frac{\log n}{\log n_{train}}\, s\right)
```

`ssmax` without parameters: softmax at the training length, sharper beyond, flatter below.

When: the free control of `ssmax`. Rows shorter than the training length are flattened, which under a causal mask are most
of them.
Source: Chiang & Cholak 2022 (arXiv 2202.12172); base $n_{train}$ after Su 2021.
Family: Softmax and its scale
"""

import math

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from attention.normalizers._common import check_where, exponential_streaming
from attention.normalizers._common import train_length as known_length
from attention.normalizers.ssmax import ssmax
from attention.precision import widen
from attention.records import Call, Normalizer

__all__ = ["log_length"]


def log_length(
    scores: Float[Array, "*A"],
    where: Bool[Array, "..."] | None = None,
    *,
    axis: int = -1,
    train_length: int,
) -> Float[Array, "*A"]:
    """Softmax of scores scaled by the logarithm of the length, ``a = softmax(s · log n_i / log n_train)``.

    At the training length it is softmax; longer rows are sharpened, shorter ones flattened, so that the entropy stays what
    training saw. Derivatives of second order are supported.

    Args:
      scores: ``[..., S]``, any float type; computed in float32 or wider and cast back.
      where: bool, broadcast to ``scores``, True = may attend; None allows all.
      axis: the axis of the keys.
      train_length: n_train >= 2, the length at which nothing changes.

    Returns:
      Weights of the shape and type of ``scores``; rows sum to 1, masked entries are exactly 0 with gradient exactly 0, and a
      row without an allowed key is all zeros. A NaN or +inf among the allowed scores of a row makes the row NaN.

    Raises:
      ValueError: for a training length below 2, or a mask that is not boolean or does not broadcast.

    Example:
      >>> attention.log_length(jnp.array([1.0, 0.0]), train_length=4)  # softmax of half the scores
      [0.62245935, 0.37754068]

    Source: Chiang & Cholak 2022 (arXiv 2202.12172), section 5.3; base n_train as in Su 2021.
    """
    _check(train_length)
    check_where(scores, where)
    return ssmax(scores, where, axis=axis, kappa=1.0 / math.log(train_length))


def _check(train_length: int | None) -> None:
    if train_length is not None and train_length < 2:
        raise ValueError(f"train_length must be >= 2, got {train_length}")


def build(train_length: int | None = None) -> Normalizer:
    """Softmax scaled by log n / log n_train; None takes the longest sequence of training."""
    _check(train_length)
    length = lambda call: train_length or max(known_length(call, "log_length"), 2)

    def exponents(params, scores, count, call: Call):
        return widen(scores) * (jnp.log(count) / math.log(length(call)))

    return Normalizer(
        apply=lambda params, scores, mask, call: log_length(scores, mask, train_length=length(call)),
        streaming=exponential_streaming(exponents),
    )
