r"""softmax(κ log n · s): softmax that sharpens with the number of keys.

```math
a = \text{softmax}\big((\kappa \log n + b)\, s\big)
```

Scalable softmax: the scores grow with the logarithm of the length.

When: test lengths beyond training, or lengths that vary much. Against $n$ equal rivals a key keeps its share only if its
lead grows like $\log n$, and this makes it do so. κ is learned per head from $1/\log n_{train}$, where it is softmax;
`bias=True` adds $b$. κ must multiply: subtracting $\kappa \log n$, as a variant that goes around does, changes nothing,
by shift invariance.
Source: Nakanishi 2025 (arXiv 2501.19399).
Family: Softmax and its scale
"""

import math
from typing import Literal

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from attention.normalizers._common import allowed_keys, exponential_streaming, open_scores, train_length
from attention.normalizers.softmax import softmax
from attention.precision import widen
from attention.records import Dims, Normalizer, Params

__all__ = ["ssmax"]


def ssmax(
    scores: Float[Array, "*A"],
    where: Bool[Array, "..."] | None = None,
    *,
    axis: int = -1,
    kappa: float | Float[Array, "..."] = 0.43,
    bias: float | Float[Array, "..."] = 0.0,
) -> Float[Array, "*A"]:
    """Scalable softmax, ``a = softmax((κ log n_i + b) s)``, that is ``n^(κ s_j) / Σ_k n^(κ s_k)`` at b = 0.

    The score that it takes to stand out from n others grows with log n; κ makes up for that. κ multiplies: added or subtracted,
    it would cancel. Derivatives of second order are supported.

    Args:
      scores: ``[..., S]``, any float type; computed in float32 or wider and cast back.
      where: bool, broadcast to ``scores``, True = may attend; None allows all.
      axis: the axis of the keys.
      kappa: κ, a number or an array that broadcasts to ``scores`` with size 1 along ``axis``.
      bias: b, likewise.

    Returns:
      Weights of the shape and type of ``scores``; rows sum to 1, masked entries are exactly 0 with gradient exactly 0, and a
      row without an allowed key is all zeros. A NaN or +inf among the allowed scores of a row makes the row NaN.

    Raises:
      ValueError: for a mask that is not boolean or does not broadcast.

    Example:
      >>> attention.ssmax(jnp.array([1.0, 2.0, 0.5, -1.0, 1.8]), kappa=0.43)
      [0.1755789, 0.3507756, 0.1242206, 0.0439904, 0.3054344]

    Source: Nakanishi 2025 (arXiv 2501.19399), eq. 3; n is the number of allowed keys of the row. 0.43 illustrates it there.
    """
    z = open_scores(scores, where)
    factor = kappa * jnp.log(allowed_keys(scores, where, axis)) + bias
    return softmax(z * factor, where, axis=axis).astype(scores.dtype)


def build(kappa: float | Literal["learned"] = "learned", bias: bool = False) -> Normalizer:
    """Scalable softmax, with κ (and b) learned per head and layer, or κ fixed.

    A learned κ starts at 1/log(training length), and b at 0, so that training starts near softmax.
    """
    if isinstance(kappa, float) and not math.isfinite(kappa):
        raise ValueError(f"kappa must be 'learned' or a finite number, got {kappa}")

    def init(rng, dims: Dims) -> Params:
        params = {}
        if kappa == "learned":
            length = max(train_length(dims, "ssmax(kappa=learned)"), 2)
            params["kappa"] = jnp.full(dims.num_heads, 1.0 / math.log(length))
        if bias:
            params["bias"] = jnp.zeros(dims.num_heads)
        return params

    def factors(params):
        own = {name: value[:, None, None] for name, value in params.items()}
        return {"kappa": own.get("kappa", kappa), "bias": own.get("bias", 0.0)}

    def exponents(params, scores, count, call):
        found = factors(params)
        return widen(scores) * (found["kappa"] * jnp.log(count) + found["bias"])

    return Normalizer(
        apply=lambda params, scores, mask, call: ssmax(scores, mask, **factors(params)),
        init=init if kappa == "learned" or bias else None,
        streaming=exponential_streaming(exponents),
    )
