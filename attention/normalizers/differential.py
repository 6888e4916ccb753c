r"""softmax(s¹) - λ softmax(s²): the difference of two attention maps cancels what both attend to.

```math
a = \text{softmax}(s^{(1)}) - \lambda\, \text{softmax}(s^{(2)})
```

When: long contexts full of distractors. In the figure the second map has the scores (1, 0.5, 0.5, -1, 0.5): keys 1, 3 and
4, on which the maps agree, end below 0, and 2 and 5 stand out. λ is learned per layer from $0.8 - 0.6 e^{-0.3 l}$; the
output is normalised per head. Half as many heads at the same number of parameters.
Source: Ye et al. 2024 (arXiv 2410.05258).
Family: Signed weights
"""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from attention.normalizers._common import check_where
from attention.normalizers.qk_norm import rms_normalized
from attention.normalizers.softmax import softmax
from attention.precision import widen
from attention.records import Dims, Normalizer, NormalizerClaims, Params

__all__ = ["differential"]


def differential(
    first: Float[Array, "*A"],
    second: Float[Array, "*A"],
    where: Bool[Array, "..."] | None = None,
    *,
    axis: int = -1,
    mix: float | Float[Array, "..."] = 0.8,
) -> Float[Array, "*A"]:
    """Differential attention weights, ``a = softmax(s¹) - λ softmax(s²)``. Derivatives of second order are supported.

    Args:
      first: s¹ ``[..., S]``, any float type; computed in float32 or wider and cast back.
      second: s², likewise.
      where: bool, broadcast to the scores, True = may attend; None allows all.
      axis: the axis of the keys.
      mix: λ, a number or an array that broadcasts to the scores.

    Returns:
      Weights of either sign, of the shape and type of ``first``; rows sum to 1 - λ, masked entries are exactly 0 with gradient
      exactly 0, and a row without an allowed key is all zeros. A NaN or +inf among the allowed scores of a row makes the row
      NaN.

    Raises:
      ValueError: for a mask that is not boolean or does not broadcast.

    Example:
      >>> attention.differential(jnp.array([0.0, 0.0]), jnp.array([0.0, 0.0]), mix=0.8)
      [0.1, 0.1]

    Source: Ye et al. 2024 (arXiv 2410.05258), eq. 1.
    """
    check_where(first, where)
    return softmax(first, where, axis=axis) - mix * softmax(second, where, axis=axis)


def initial_mix(layer: int) -> float:
    """λ₀ of a layer, ``0.8 - 0.6 exp(-0.3 l)``, l = 0, 1, ..."""
    return 0.8 - 0.6 * math.exp(-0.3 * layer)


def build() -> Normalizer:
    """Differential attention: two heads in a row are the two maps of one, with values twice as wide.

    ``λ = exp(λ_q1·λ_k1) - exp(λ_q2·λ_k2) + λ₀`` with four vectors per layer, N(0, 0.1) at the start, shared by the heads;
    the output is ``(1 - λ₀) RMSNorm(a v)`` per head, without weights. Maps 2h and 2h+1 belong together, as in the authors'
    code (other implementations pair h and h + N/2). Ye et al. 2024 (arXiv 2410.05258), eq. 1-3.
    """

    def init(rng, dims: Dims) -> Params:
        rngs = jax.random.split(rng, 4)
        return {name: 0.1 * jax.random.normal(rng, (dims.head_dim,)) for name, rng in zip(("q1", "k1", "q2", "k2"), rngs)}

    def apply(params, scores, mask, call):
        mix = (
            jnp.exp(jnp.sum(params["q1"] * params["k1"]))
            - jnp.exp(jnp.sum(params["q2"] * params["k2"]))
            + initial_mix(call.layer)
        )
        masks = (mask, mask)
        if mask is not None and mask.shape[-3] > 1:  # a mask per map
            masks = (mask[..., 0::2, :, :], mask[..., 1::2, :, :])
        first, second = (softmax(scores[..., i::2, :, :], masks[i]) for i in (0, 1))
        return first - mix * second

    def finish(params, output, x, call):
        return ((1.0 - initial_mix(call.layer)) * rms_normalized(widen(output), epsilon=1e-5)).astype(output.dtype)

    return Normalizer(apply=apply, init=init, finish=finish, maps=2, claims=NormalizerClaims(row_sum="any", signed=True))
