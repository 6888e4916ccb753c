r"""The generalised mean with a power p, learned or fixed: the mean at 1, the maximum at infinity; of positive numbers.

```math
y = \Big(\frac{1}{n} \sum_t \max(x_t, \epsilon)^p\Big)^{1/p} \quad \text{per channel}
```

Options: `p='learned'` (one number, 3 at the start) or fixed > 0; `epsilon` (1e-6).
When: as `logsumexp`, where states are positive. $p = 1$ is the mean, $p \to 0$ the geometric mean, $p \to \infty$ the
maximum.
Traps: powers need $x > 0$. As in the paper's code, states up to `epsilon` count as `epsilon` and get no gradient. Its
states come out of a ReLU; about half of those of a normed transformer are negative and are lost. Prefer `logsumexp` there.
Source: Radenović et al. 2018 (arXiv 1711.02512), eq. 3. Computed in logarithms, so no power overflows.
Family: Means, maxima and single states
"""

import math
from typing import Literal

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from attention.poolings._log_mean_exp import log_mean_exp
from attention.poolings._valid import mask_of, text, unless_empty, valid
from attention.records import Pooled, Pooling

__all__ = ["gem_pool"]


def gem_pool(
    x: Float[Array, "*B T D"],
    where: Bool[Array, "*#B T"] | None = None,
    *,
    p: float | Float[Array, ""] = 3.0,
    epsilon: float = 1e-6,
) -> Float[Array, "*B D"]:
    """Generalised mean per channel, ``((1/n) Σ_t m_t max(x_t, ε)^p)^(1/p)`` over the n positions that count.

    The mean for p = 1, the geometric mean for p → 0, the maximum for p → ∞. Powers need positive numbers: a state up to ε
    counts as ε and gets no gradient, as in the code of the paper, whose states come out of a ReLU.

    Args:
      x: ``[*B T D]``.
      where: bool ``[*#B T]``, the positions that count; None for all.
      p: > 0; an array is not checked.
      epsilon: ε > 0.

    Returns:
      ``[*B D]``, computed in float32 and in logarithms, so that no power overflows; zeros where no position counts.

    Raises:
      ValueError: for a p or an ε that is not a finite number > 0.

    Example:
      >>> attention.gem_pool(jnp.array([[1.0], [7.0], [9.0]]), jnp.array([True, True, False]), p=2.0)
      [5.0]

    Source: Radenović et al. 2018 (arXiv 1711.02512), eq. 3.
    """
    _check(p, epsilon)
    where = mask_of(x, where)
    states = text(x, where)
    logs = jnp.log(jnp.where(states > epsilon, states, epsilon))
    return unless_empty(jnp.exp(log_mean_exp(logs, where, p)), where).astype(x.dtype)


def _check(p: object, epsilon: float) -> None:
    for name, value in (("p", p), ("epsilon", epsilon)):
        if isinstance(value, (int, float)) and not (math.isfinite(value) and value > 0):
            raise ValueError(f"{name} must be a finite number > 0, got {value}")


def build(p: float | Literal["learned"] = "learned", epsilon: float = 1e-6) -> Pooling:
    """The generalised mean with a fixed ``p``, or with one for all channels that is learned, freely, from 3 (``'learned'``)."""
    _check(p, epsilon)
    of = lambda params: params["p"] if isinstance(p, str) else p
    return Pooling(
        apply=lambda params, x, call: Pooled(gem_pool(x, valid(x, call), p=of(params), epsilon=epsilon)),
        init=lambda rng, dims: {"p": jnp.asarray(3.0)} if isinstance(p, str) else {},
    )
