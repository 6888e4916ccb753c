r"""A softmax over positions of vᵀ tanh(Wx + b), and the weighted sum; the score may look at the final state too.

```math
\alpha = \mathrm{softmax}\big(v^\top \tanh(W x_t + b)\big), \quad y = \sum_t \alpha_t x_t
```

Options: `hidden` A (64); `context`; `normalizer`. `context=last` or `final` adds $U h$ inside the tanh, with $h$ the last
valid state, or the final states of two directions side by side (half of the channels from either end): Bahdanau's score
with the end of the text as the query. It costs DA parameters more than the DA + 2A without.
When: the usual attention of text classifiers; the word and the sentence level of hierarchical attention.
Traps: a bias on the outer sum would do nothing under softmax and is not there. With `context` the order of the text
matters.
Source: Yang et al. 2016 (HAN, NAACL), eq. 5-7; Bahdanau et al. 2014 (arXiv 1409.0473).
Family: With weights
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from attention.normalizers.softmax import softmax
from attention.poolings._context import CONTEXTS, ContextName, check_width
from attention.poolings._valid import mask_of, text, valid
from attention.poolings._weights import Normalize, check_normalizer, normalize_by, weighted_sum
from attention.records import Normalizer, Pooled, Pooling

__all__ = ["additive_pool"]


def additive_pool(
    x: Float[Array, "*B T D"],
    kernel: Float[Array, "D A"],
    bias: Float[Array, "*#B A"],
    vector: Float[Array, " A"],
    where: Bool[Array, "*#B T"] | None = None,
    *,
    normalize: Normalize = softmax,
) -> tuple[Float[Array, "*B D"], Float[Array, "*B T"]]:
    """Additive attention pooling, ``α = softmax_t(vᵀ tanh(W x_t + b))``, ``y = Σ_t α_t x_t``.

    Args:
      x: ``[*B T D]``.
      kernel: W, ``[D A]``.
      bias: b, ``[A]``, or ``[*#B A]`` where it depends on the text: ``b + U h`` with a state h of all of it is the score of
        Bahdanau et al. 2014 (arXiv 1409.0473).
      vector: v, ``[A]``.
      where: bool ``[*#B T]``, the positions that count; None for all.
      normalize: in place of softmax, a function ``(scores, where) -> weights``, such as ``attention.sparsemax``.

    Returns:
      y ``[*B D]`` and α ``[*B T]`` in float32; zeros where no position counts.

    Example:
      >>> attention.additive_pool(x, kernel, bias, vector, where)

    Source: Yang et al. 2016 (HAN, NAACL), eq. 5-7.
    """
    where = mask_of(x, where)
    states = text(x, where)
    hidden = jnp.tanh(jnp.einsum("...td,da->...ta", states, kernel) + bias[..., None, :])
    pooled, weights = weighted_sum(jnp.einsum("...ta,a->...t", hidden, vector), states, where, normalize)
    return pooled.astype(x.dtype), weights


def build(hidden: int = 64, context: ContextName = "none", normalizer: Normalizer | str = "softmax") -> Pooling:
    """Additive pooling with ``hidden`` units A; D·A + 2A parameters, and D·A more with a context.

    ``context`` adds ``U h`` inside the tanh, h a state of the whole text: the ``'last'`` valid one, or the ``'final'`` ones of
    two directions, which a bidirectional recurrence has side by side: the first half of the channels of the last valid
    position and the second half of those of the first.
    """
    if hidden < 1:
        raise ValueError(f"hidden must be >= 1, got {hidden}")
    rows, state = check_normalizer(normalizer), CONTEXTS.get(context)

    def init(rng, dims):
        check_width(context, dims)
        rng_w, rng_v, rng_u = jax.random.split(rng, 3)
        xavier = jax.nn.initializers.glorot_uniform()
        params = {
            "kernel": xavier(rng_w, (dims.model_dim, hidden)),
            "bias": jnp.zeros(hidden),
            "vector": xavier(rng_v, (hidden, 1))[:, 0],
        }
        return params if state is None else {**params, "context": xavier(rng_u, (dims.model_dim, hidden))}

    def apply(params, x, call):
        where, bias = valid(x, call), params["bias"]
        if state is not None:
            bias = bias + jnp.einsum("...d,da->...a", state(x, where).astype(bias.dtype), params["context"])
        normalize = normalize_by(rows, call)
        return Pooled(*additive_pool(x, params["kernel"], bias, params["vector"], where, normalize=normalize))

    return Pooling(apply=apply, init=init)
