r"""A softmax over positions of tanh(wᵀx + b), one number per position, and the weighted sum.

```math
\alpha = \mathrm{softmax}\big(\tanh(w^\top x_t + b)\big), \quad y = \sum_t \alpha_t x_t
```

Options: `activation` `'tanh'` or `'sigmoid'`; `context`, as that of `additive`, adds $v^\top h$ inside it, D parameters
more; `normalizer`. The form $\exp(\sigma(w^\top x_t + v^\top h + b)) / \sum$ seen in tutorials is
`feed_forward(activation=sigmoid, context=final)`.
When: as cheap as `query`, with weights that stay close to even.
Traps: scores lie in [-1, 1], so no token weighs more than $e^2 \approx 7.4$ times another ($e$ with the sigmoid): of 100
tokens none gets more than 7 %. It cannot point at one word.
Source: Raffel and Ellis 2015 (arXiv 1512.08756).
Family: With weights
"""

from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from attention.normalizers.softmax import softmax
from attention.poolings._context import CONTEXTS, ContextName, check_width
from attention.poolings._valid import mask_of, text, valid
from attention.poolings._weights import Normalize, check_normalizer, normalize_by, weighted_sum
from attention.records import Normalizer, Pooled, Pooling

__all__ = ["feed_forward_pool"]

Activation = Literal["tanh", "sigmoid"]
ACTIVATIONS = {"tanh": jnp.tanh, "sigmoid": jax.nn.sigmoid}


def feed_forward_pool(
    x: Float[Array, "*B T D"],
    kernel: Float[Array, " D"],
    bias: Float[Array, "*#B"],
    where: Bool[Array, "*#B T"] | None = None,
    *,
    activation: Activation = "tanh",
    normalize: Normalize = softmax,
) -> tuple[Float[Array, "*B D"], Float[Array, "*B T"]]:
    """Feed-forward attention, ``α = softmax_t(tanh(wᵀ x_t + b))``, ``y = Σ_t α_t x_t``.

    The scores lie between -1 and 1, so no position weighs more than e² = 7.4 times another.

    Args:
      x: ``[*B T D]``.
      kernel: w, ``[D]``.
      bias: b, a number, or ``[*#B]`` where it depends on the text, as ``b + vᵀh`` with a state h of all of it.
      where: bool ``[*#B T]``, the positions that count; None for all.
      activation: ``'tanh'``, or ``'sigmoid'`` for ``exp(σ(wᵀ x_t + vᵀh + b)) / Σ``, with ratios up to e.
      normalize: in place of softmax, a function ``(scores, where) -> weights``, such as ``attention.sparsemax``.

    Returns:
      y ``[*B D]`` and α ``[*B T]`` in float32; zeros where no position counts.

    Example:
      >>> attention.feed_forward_pool(x, kernel, bias, where)

    Source: Raffel and Ellis 2015 (arXiv 1512.08756), eq. 1 and section 2.
    """
    where = mask_of(x, where)
    states = text(x, where)
    scores = ACTIVATIONS[activation](jnp.einsum("...td,d->...t", states, kernel) + bias[..., None])
    pooled, weights = weighted_sum(scores, states, where, normalize)
    return pooled.astype(x.dtype), weights


def build(activation: Activation = "tanh", context: ContextName = "none", normalizer: Normalizer | str = "softmax") -> Pooling:
    """Feed-forward attention; D + 1 parameters, and D more with a context.

    ``context`` adds ``vᵀh`` inside the activation, h a state of the whole text: the ``'last'`` valid one, or the ``'final'``
    ones of two directions, which a bidirectional recurrence has side by side: the first half of the channels of the last valid
    position and the second half of those of the first.
    """
    rows, state = check_normalizer(normalizer), CONTEXTS.get(context)

    def init(rng, dims):
        check_width(context, dims)
        rng_w, rng_v = jax.random.split(rng)
        xavier = jax.nn.initializers.glorot_uniform()
        params = {"kernel": xavier(rng_w, (dims.model_dim, 1))[:, 0], "bias": jnp.zeros(())}
        return params if state is None else {**params, "context": xavier(rng_v, (dims.model_dim, 1))[:, 0]}

    def apply(params, x, call):
        where, bias = valid(x, call), params["bias"]
        if state is not None:
            bias = bias + jnp.einsum("...d,d->...", state(x, where).astype(bias.dtype), params["context"])
        normalize = normalize_by(rows, call)
        found = feed_forward_pool(x, params["kernel"], bias, where, activation=activation, normalize=normalize)
        return Pooled(*found)

    return Pooling(apply=apply, init=init)
