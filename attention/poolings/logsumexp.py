r"""A smooth maximum: the logarithm of the mean exponential, between the mean and the maximum.

```math
y = \frac{1}{t} \log \frac{1}{n} \sum_\tau e^{t x_\tau} \quad \text{per channel}
```

Options: `t` > 0, an inverse temperature: the mean for $t \to 0$, the maximum for $t \to \infty$.
When: between the mean and the maximum, with a gradient for every token: a softmax of $t x$ per channel.
Traps: it is a *mean* of exponentials; the plain log-sum-exp adds $\log(n)/t$ and grows with the length. Below
$t \approx 10^{-3}$ the formula as written loses its digits in float32; here `expm1` and `log1p` keep them.
Source: Pinheiro and Collobert 2015 (arXiv 1411.6228).
Family: Means, maxima and single states
"""

import math

from jaxtyping import Array, Bool, Float

from attention.poolings._log_mean_exp import log_mean_exp
from attention.poolings._valid import mask_of, text, valid
from attention.records import Pooled, Pooling

__all__ = ["logsumexp_pool"]


def logsumexp_pool(
    x: Float[Array, "*B T D"], where: Bool[Array, "*#B T"] | None = None, *, t: float = 1.0
) -> Float[Array, "*B D"]:
    """Log-mean-exp per channel, ``(1/t) log((1/n) Σ_t m_t e^(t x_t))`` over the n positions that count.

    The mean for t → 0, the maximum for t → ∞. Its gradient is a softmax of t x over the positions.

    Args:
      x: ``[*B T D]``.
      where: bool ``[*#B T]``, the positions that count; None for all.
      t: > 0, an inverse temperature: the larger, the nearer to the maximum.

    Returns:
      ``[*B D]``, computed in float32; zeros where no position counts.

    Raises:
      ValueError: for a t that is not a finite number > 0.

    Example:
      >>> attention.logsumexp_pool(jnp.array([[0.0], [2.0], [9.0]]), jnp.array([True, True, False]))
      [1.4337809]

    Source: Pinheiro and Collobert 2015 (arXiv 1411.6228).
    """
    _check(t)
    where = mask_of(x, where)
    return log_mean_exp(text(x, where), where, t).astype(x.dtype)


def _check(t: float) -> None:
    if not (math.isfinite(t) and t > 0):
        raise ValueError(f"t must be a finite number > 0 (mean is the limit 0, max that of infinity), got {t}")


def build(t: float = 1.0) -> Pooling:
    """The log-mean-exp at a fixed ``t``, without parameters."""
    _check(t)
    return Pooling(apply=lambda params, x, call: Pooled(logsumexp_pool(x, valid(x, call), t=t)))
