r"""A penalty on the score that grows with the logarithm or a power of the distance, both learned per head.

```math
b_{ij} = -r_1 \log(1 + r_2 |\Delta|), \quad \text{or } -r_1 |\Delta|^{r_2}
```

The price of distance as a learned logarithm or power; `alibi` is the power 1.

Parameters: r₁ and r₂ of each head, drawn from U(0, 2) and U(0, 1) (log) or U(0, 1) and U(0, 2) (power), not below 0.01.
Claim: the log form has the lowest perplexity past the training length on three corpora, ahead of `alibi` and `t5`.
Traps: positive by softplus, and r₂ < 2 by a sigmoid, where the official code clips parameters in place and gradients
stop. At distance 0 bias and gradient are 0. Symmetric: blind to direction without a causal mask.
Source: Chi et al. 2022 (arXiv 2205.09921), eq. 5 and 6.
Family: Biases with a shape
"""

from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Num

from attention.encodings._distances import by_distance
from attention.encodings._positive import softplus_inverse
from attention.records import Encoding, EncodingClaims

__all__ = ["kerple_bias"]

Form = Literal["log", "power"]
LEAST = 0.01  # of what is drawn at the start; the official code keeps its parameters above this number


def kerple_bias(
    distance: Num[Array, "*A"], r1: Float[Array, " N"], r2: Float[Array, " N"], *, form: Form = "log"
) -> Float[Array, "*A N"]:
    """Kernelised bias, ``-r₁ log(1 + r₂ |Δ|)`` (log) or ``-r₁ |Δ|^r₂`` (power).

    Args:
      distance: Δ = i - j, query minus key.
      r1: r₁ > 0, ``[N]``.
      r2: r₂ > 0, and at most 2 for ``'power'``, where the kernel is conditionally positive definite, ``[N]``.
      form: ``'log'`` or ``'power'``.

    Returns:
      float32 ``[*A N]``, 0 with gradient 0 at distance 0; added after scaling.

    Example:
      >>> attention.kerple_bias(jnp.array([0, -2]), jnp.array([0.5]), jnp.array([2.0]), form="power")
      [[0.0], [-2.0]]

    Source: Chi et al. 2022 (arXiv 2205.09921), eq. 5 and 6, causal; symmetric in Δ, so that it serves both directions.
    """
    size = jnp.abs(distance).astype(jnp.promote_types(r1.dtype, jnp.float32))[..., None]
    if form == "log":
        return -r1 * jnp.log1p(r2 * size)
    apart = size > 0
    return -r1 * jnp.where(apart, jnp.exp(r2 * jnp.log(jnp.where(apart, size, 1.0))), 0.0)


def build(form: Form = "log") -> Encoding:
    """KERPLE, two numbers per head and layer, blind to direction.

    At the start as published, but not below 0.01: log r₁ ~ U(0, 2), r₂ ~ U(0, 1); power r₁ ~ U(0, 1), r₂ ~ U(0, 2). Learned
    are ρ₁ and ρ₂ with ``r₁ = softplus(ρ₁)``, and ``r₂ = softplus(ρ₂)`` (log) or ``2σ(ρ₂)`` (power, within its bound of 2); the
    official code clips the numbers themselves in place. Chi et al. 2022 (arXiv 2205.09921).
    """
    highest = {"log": (2.0, 1.0), "power": (1.0, 2.0)}[form]

    def init(rng, dims):
        rngs, shape = jax.random.split(rng), (dims.num_heads,)
        r1, r2 = (jax.random.uniform(rng, shape, minval=LEAST, maxval=high) for rng, high in zip(rngs, highest))
        return {"r1": softplus_inverse(r1), "r2": softplus_inverse(r2) if form == "log" else jax.scipy.special.logit(r2 / 2.0)}

    def bias(params, q_features, k_features, rest, call):
        r2 = jax.nn.softplus(params["r2"]) if form == "log" else 2.0 * jax.nn.sigmoid(params["r2"])
        r1 = jax.nn.softplus(params["r1"])
        return by_distance(call, lambda distance: kerple_bias(distance, r1, r2, form=form))

    return Encoding(init=init, bias=bias, claims=EncodingClaims(extrapolates=True))
