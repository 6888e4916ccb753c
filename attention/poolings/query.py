r"""Attention with one query, learned or taken from the text: a softmax over positions of q·x/√D, and the weighted sum.

```math
\alpha = \mathrm{softmax}(q \cdot x_t / \sqrt D), \quad y = \sum_t \alpha_t x_t
```

Options: `activation='tanh'` scores $q \cdot \tanh(x_t)$; `output='tanh'` returns $\tanh(y)$; `scaled=False` leaves out
$1/\sqrt D$; `normalizer`; `q`, what a state is multiplied by: `'learned'`, or without parameters `'ones'` (the sum of its
channels), `'self'` (its squared length), `'last'` or `'final'` (the text's state, as `context` of `additive`).
When: the smallest step beyond the mean, at which it starts ($q \approx 0$). Attention over a recurrence after Zhou et al.
is `query(activation=tanh, output=tanh, scaled=False)`.
Traps: the score is linear in the state, so a token is weighed by one direction alone; `additive` can combine several.
Source: Zhou et al. 2016 (ACL, P16-2034), eq. 9-12; Luong et al. 2015 (arXiv 1508.04025), eq. 8, for `last`.
Family: With weights
"""

import math
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from attention.normalizers.softmax import softmax
from attention.poolings._context import CONTEXTS, check_width
from attention.poolings._valid import mask_of, text, valid
from attention.poolings._weights import Normalize, check_normalizer, normalize_by, weighted_sum
from attention.records import Normalizer, Pooled, Pooling

__all__ = ["query_pool"]

Activation = Literal["none", "tanh"]
QueryName = Literal["learned", "ones", "self", "last", "final"]
ACTIVATIONS = {"none": lambda x: x, "tanh": jnp.tanh}


def query_pool(
    x: Float[Array, "*B T D"],
    query: Float[Array, "*#B D"] | None,
    where: Bool[Array, "*#B T"] | None = None,
    *,
    scale: float | None = None,
    activation: Activation = "none",
    normalize: Normalize = softmax,
) -> tuple[Float[Array, "*B D"], Float[Array, "*B T"]]:
    """Attention of one query, ``α = softmax_t(q·x_t / √D)``, ``y = Σ_t α_t x_t``.

    Args:
      x: ``[*B T D]``.
      query: q, ``[D]``, or ``[*#B D]`` where each text has its own; None where each state is its own, ``x_t·x_t``.
      where: bool ``[*#B T]``, the positions that count; None for all.
      scale: what q·x is multiplied by; None for 1/√D.
      activation: ``'none'``, or ``'tanh'`` for ``q·tanh(x_t)``; what is summed is x in both cases.
      normalize: in place of softmax, a function ``(scores, where) -> weights``, such as ``attention.sparsemax``.

    Returns:
      y ``[*B D]`` and α ``[*B T]`` in float32; zeros where no position counts.

    Example:
      >>> attention.query_pool(jnp.array([[1.0], [3.0], [9.0]]), jnp.zeros(1), jnp.array([True, True, False]))[0]
      [2.0]

    Source: Zhou et al. 2016 (ACL, P16-2034), eq. 9-11, which is ``scale=1, activation='tanh'``; the scale is that of Vaswani et
    al. 2017 (arXiv 1706.03762).
    """
    where = mask_of(x, where)
    states = text(x, where)
    scale = 1.0 / math.sqrt(x.shape[-1]) if scale is None else scale
    keys = ACTIVATIONS[activation](states)
    products = jnp.sum(keys * states, axis=-1) if query is None else jnp.einsum("...td,...d->...t", keys, query)
    pooled, weights = weighted_sum(scale * products, states, where, normalize)
    return pooled.astype(x.dtype), weights


def build(
    activation: Activation = "none",
    output: Activation = "none",
    scaled: bool = True,
    q: QueryName = "learned",
    normalizer: Normalizer | str = "softmax",
) -> Pooling:
    """A learned query; D parameters. It starts near 0, so that training starts near the mean.

    The other queries have no parameters: ``q='ones'`` scores a state by the sum of its channels, ``'self'`` by its squared
    length ``x_t·x_t``, ``'last'`` and ``'final'`` by its product with a state of the whole text, the last valid one, or those
    of two directions that have read all of it (as ``context`` of ``additive`` has them): the dot score of Luong et al. 2015
    (arXiv 1508.04025).

    ``scaled`` divides the scores by √D; ``output='tanh'`` takes the tanh of the sum. Attention over a recurrence after Zhou
    et al. 2016 is ``query(activation=tanh, output=tanh, scaled=False)``.
    """
    rows, scale = check_normalizer(normalizer), None if scaled else 1.0

    def init(rng, dims):
        check_width(q, dims)
        return {"query": 0.02 * jax.random.normal(rng, (dims.model_dim,))} if q == "learned" else {}

    def query(params, x, where):
        if q == "ones":
            return jnp.ones(x.shape[-1])
        return CONTEXTS[q](text(x, where), where) if q in CONTEXTS else params.get("query")

    def apply(params, x, call):
        where, normalize = valid(x, call), normalize_by(rows, call)
        pooled, weights = query_pool(x, query(params, x, where), where, scale=scale, activation=activation, normalize=normalize)
        return Pooled(ACTIVATIONS[output](pooled), weights)

    return Pooling(apply=apply, init=init)
