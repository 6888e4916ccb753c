r"""softmax((s + g)/τ) with Gumbel noise g: a sample of one key, made soft; straight through, made hard.

```math
a = \text{softmax}\big((s + g)/\tau\big), \quad g_j = -\log(-\log u_j),\; u_j \sim U(0, 1)
```

A sample of one key, made differentiable: the largest of $s + g$ is a draw from softmax(s).

When: attention as a discrete latent choice. τ → 0 is the sample itself, with gradients of high variance; `hard=True` is
one-hot forward and soft backward. Noise in training alone; the figure shows one draw, whose noise lifts key 2 and lowers
key 5.
Source: Jang et al. 2016 (arXiv 1611.01144), Maddison et al. 2016 (arXiv 1611.00712).
Family: Choosing keys
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from attention.normalizers._common import check_temperature, check_where
from attention.normalizers.hard import hard as hard_weights
from attention.normalizers.softmax import softmax
from attention.precision import widen
from attention.records import Normalizer, NormalizerClaims

__all__ = ["gumbel"]


def gumbel(
    scores: Float[Array, "*A"],
    where: Bool[Array, "..."] | None = None,
    *,
    axis: int = -1,
    noise: Float[Array, "..."] | None = None,
    rng: Any = None,
    temperature: float = 1.0,
    hard: bool = False,
) -> Float[Array, "*A"]:
    """Gumbel softmax, ``a = softmax((s + g) / τ)`` with ``g = -log(-log u)``, u uniform on (0, 1).

    The largest of ``s + g`` is a sample of softmax(s). With ``hard`` the weights are that sample, one-hot, and the gradient is
    the soft one's (straight through). Derivatives of second order are supported.

    Args:
      scores: ``[..., S]``, any float type; computed in float32 or wider and cast back.
      where: bool, broadcast to ``scores``, True = may attend; None allows all.
      axis: the axis of the keys.
      noise: g, an array that broadcasts to ``scores``; or
      rng: the key it is drawn with. One of the two must be given.
      temperature: τ > 0.
      hard: whether the weights are one-hot.

    Returns:
      Weights of the shape and type of ``scores``; rows sum to 1, masked entries are exactly 0 with gradient exactly 0, and a
      row without an allowed key is all zeros. A NaN or +inf among the allowed scores of a row makes the row NaN.

    Raises:
      ValueError: unless one of ``noise`` and ``rng`` is given; for a temperature that is not positive, or a mask that is not
        boolean or does not broadcast.

    Example:
      >>> attention.gumbel(jnp.array([1.0, 2.0]), rng=jax.random.key(0), hard=True)
      [0.0, 1.0]

    Source: Jang et al. 2016 (arXiv 1611.01144), eq. 2; Maddison et al. 2016 (arXiv 1611.00712).
    """
    if (noise is None) == (rng is None):
        raise ValueError("gumbel draws its noise: give noise or rng, and one of them only")
    check_where(scores, where)
    wide = widen(scores)
    noisy = wide + (jax.random.gumbel(rng, wide.shape, wide.dtype) if noise is None else noise)
    function = hard_weights if hard else softmax
    return function(noisy, where, axis=axis, temperature=temperature).astype(scores.dtype)


def build(temperature: float = 1.0, hard: bool = False) -> Normalizer:
    """Gumbel softmax in training; without noise, at the same temperature, in evaluation."""
    check_temperature(temperature)

    def apply(params, scores, mask, call):
        if not call.train:
            return gumbel(scores, mask, noise=jnp.zeros(()), temperature=temperature, hard=hard)
        if call.rng is None:
            raise ValueError("gumbel draws in training and wants a key: rng= or key= of a layer, call.rng of attend")
        return gumbel(scores, mask, rng=jax.random.fold_in(call.rng, 1), temperature=temperature, hard=hard)

    return Normalizer(apply=apply, by_mode=True, claims=NormalizerClaims(exact_zeros=hard, random=True))
