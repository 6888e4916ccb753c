r"""Several additive poolings side by side, with a penalty on weights that look at the same positions.

```math
A = \mathrm{softmax}\big(W_2 \tanh(W_1 X^\top)\big), \quad y = \text{the R rows of } A X \text{ side by side}
```

The **penalty** $\lVert A A^\top - I \rVert_F^2$ of each text, times `penalty`, is added to its loss; training logs its mean
as `penalty`.

Options: `hidden` A (64), `rows` R (4), `penalty` (1), `normalizer`. DA + AR parameters.
When: a text says several things. The paper has A = 350, R = 30, penalty 1. R = 1 is `additive` without b.
Traps: near-even rows, as at the start, have a penalty of about R, several times the cross-entropy: try 0.01 to 0.3 first.
It asks for rows on *single* tokens, and a text of fewer than R tokens cannot satisfy it.
Source: Lin et al. 2017 (arXiv 1703.03130), eq. 6-8.
Family: With weights
"""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from attention.normalizers.softmax import softmax
from attention.poolings._valid import mask_of, text, valid
from attention.poolings._weights import Normalize, check_normalizer, normalize_by
from attention.records import Normalizer, Pooled, Pooling

__all__ = ["structured_penalty", "structured_pool"]


def structured_pool(
    x: Float[Array, "*B T D"],
    kernel: Float[Array, "D A"],
    rows: Float[Array, "A R"],
    where: Bool[Array, "*#B T"] | None = None,
    *,
    normalize: Normalize = softmax,
) -> tuple[Float[Array, "*B P"], Float[Array, "*B R T"]]:
    """Structured self-attention, ``A = softmax_t(W₂ tanh(W₁ Xᵀ))`` with R rows, and ``y = A X`` row after row.

    Args:
      x: X, ``[*B T D]``.
      kernel: W₁ transposed, ``[D A]``.
      rows: W₂ transposed, ``[A R]``.
      where: bool ``[*#B T]``, the positions that count; None for all.
      normalize: in place of softmax, a function ``(scores, where) -> weights``, such as ``attention.sparsemax``.

    Returns:
      y ``[*B R·D]`` and A ``[*B R T]`` in float32; zeros where no position counts.

    Example:
      >>> attention.structured_pool(x, kernel, rows, where)

    Source: Lin et al. 2017 (arXiv 1703.03130), eq. 6 and 7.
    """
    where = mask_of(x, where)
    states = text(x, where)
    hidden = jnp.tanh(jnp.einsum("...td,da->...ta", states, kernel))
    weights = normalize(jnp.einsum("...ta,ar->...rt", hidden, rows), where[..., None, :])
    pooled = jnp.einsum("...rt,...td->...rd", weights, states)
    *batch, R, D = pooled.shape
    return pooled.reshape(*batch, R * D).astype(x.dtype), weights


def structured_penalty(weights: Float[Array, "*B R T"]) -> Float[Array, "*B"]:
    """How much the rows of weights overlap, ``‖A Aᵀ - I‖²`` in the Frobenius norm.

    It is 0 for rows that each look at one position of their own. With fewer positions than rows it cannot be.

    Args:
      weights: A, ``[*B R T]``.

    Returns:
      ``[*B]``.

    Example:
      >>> attention.structured_penalty(jnp.array([[1.0, 0.0], [0.5, 0.5]]))
      0.75

    Source: Lin et al. 2017 (arXiv 1703.03130), eq. 8.
    """
    overlap = jnp.einsum("...rt,...st->...rs", weights, weights) - jnp.eye(weights.shape[-2], dtype=weights.dtype)
    return jnp.sum(overlap**2, axis=(-2, -1))


def build(hidden: int = 64, rows: int = 4, penalty: float = 1.0, normalizer: Normalizer | str = "softmax") -> Pooling:
    """Structured self-attention with ``hidden`` units A and R ``rows``; D·A + A·R parameters, and a vector R times as wide.

    ``penalty`` ≥ 0 times ‖AAᵀ - I‖² of each text is added to its loss. The paper has A = 350, R = 30 and penalty 1.
    """
    for name, value in (("hidden", hidden), ("rows", rows)):
        if value < 1:
            raise ValueError(f"{name} must be >= 1, got {value}")
    if not (math.isfinite(penalty) and penalty >= 0):
        raise ValueError(f"penalty must be a finite number >= 0, got {penalty}")
    normalized = check_normalizer(normalizer)

    def init(rng, dims):
        rng_w, rng_r = jax.random.split(rng)
        xavier = jax.nn.initializers.glorot_uniform()
        return {"kernel": xavier(rng_w, (dims.model_dim, hidden)), "rows": xavier(rng_r, (hidden, rows))}

    def apply(params, x, call):
        where = valid(x, call)
        pooled, weights = structured_pool(x, params["kernel"], params["rows"], where, normalize=normalize_by(normalized, call))
        loss = jnp.where(where.any(-1), penalty * structured_penalty(weights), 0.0)
        return Pooled(pooled, weights, loss)

    return Pooling(apply=apply, init=init, width=lambda model_dim: rows * model_dim)
