r"""A penalty on the score that grows with the square of the distance, its width learned per head.

```math
b_{ij} = -|w \Delta^2 + b|, \quad w > 0 \ge b
```

A bell around the token, of learned width; b makes a token look past itself.

Parameters: w and b of each head. A width per head and the start (the squares of ALiBi's slopes, b at -w/100) are ours.
Claim: natural language inference with a smaller model.
Traps: a square: with w = 1/16 a key 16 tokens away has a weight of e⁻¹⁶. Wide heads alone see far. Blind to direction.
Source: Guo et al. 2019, "Gaussian Transformer" (AAAI 33).
Family: Biases with a shape
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Num

from attention.encodings._distances import by_distance
from attention.encodings._positive import softplus_inverse
from attention.encodings.alibi import alibi_slopes
from attention.records import Encoding

__all__ = ["gaussian_bias"]


def gaussian_bias(distance: Num[Array, "*A"], w: Float[Array, " N"], b: Float[Array, " N"]) -> Float[Array, "*A N"]:
    """Gaussian prior, ``-|w Δ² + b|``.

    Args:
      distance: Δ = i - j, query minus key.
      w: w > 0, ``[N]``.
      b: b <= 0, ``[N]``; what is best is Δ² = -b / w, so that it keeps a token from itself.

    Returns:
      float32 ``[*A N]``, added after scaling.

    Example:
      >>> attention.gaussian_bias(jnp.array([0, 1, 3]), jnp.array([0.5]), jnp.array([-1.0]))
      [[-1.0], [-0.5], [-3.5]]

    Source: Guo et al. 2019, "Gaussian Transformer" (AAAI 33), section 3; symmetric in Δ.
    """
    return -jnp.abs(w * jnp.square(distance.astype(jnp.float32))[..., None] + b)


def build() -> Encoding:
    """The Gaussian prior, two numbers per head and layer, ``w = softplus(ρ)`` and ``b = -softplus(β)``; blind to direction.

    A scale per head, and the start, are ours: w at the squares of ALiBi's slopes, so that heads differ in width, b at -w/100.
    Guo et al. 2019 (AAAI 33).
    """

    def init(rng, dims):
        w = jnp.square(jnp.asarray(alibi_slopes(dims.num_heads)))
        return {"w": softplus_inverse(w), "b": softplus_inverse(w / 100.0)}

    def bias(params, q_features, k_features, rest, call):
        w, b = jax.nn.softplus(params["w"]), -jax.nn.softplus(params["b"])
        return by_distance(call, lambda distance: gaussian_bias(distance, w, b))

    return Encoding(init=init, bias=bias)
