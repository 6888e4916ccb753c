r"""A bias per head that is a sum of learned bumps over the distance.

```math
b_{ij} = \sum_{k=1}^{5} a_k\, e^{-|s_k| (\Delta - o_k)^2}
```

Parameters: height a, sharpness s and place o of `kernels` = 5 bumps per head; a and s N(0.1, 0.01) at the start, o N(0,
5).
Claim: in place of all of ALBERT's codes, a better model with 15 numbers per head; trained tables had looked like such
bumps.
Traps: far from all bumps it is 0 and its gradient too: a bump has to be within reach of the distance it is to serve. The
official code evaluates it at Δ - 1. Signed, so direction shows.
Source: Wennberg & Henter 2021 (arXiv 2106.01950), eq. 5.
Family: Biases that are learned
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Num

from attention.encodings._distances import by_distance
from attention.records import Encoding

__all__ = ["tisa_bias"]


def tisa_bias(
    distance: Num[Array, "*A"],
    amplitude: Float[Array, "K N"],
    sharpness: Float[Array, "K N"],
    offset: Float[Array, "K N"],
) -> Float[Array, "*A N"]:
    """Translation-invariant bias, ``Σ_k a_k exp(-|s_k| (Δ - o_k)²)``.

    Args:
      distance: Δ = i - j, query minus key.
      amplitude: a, ``[K N]``.
      sharpness: s, ``[K N]``.
      offset: o, ``[K N]``.

    Returns:
      float32 ``[*A N]``, added after scaling.

    Example:
      >>> attention.tisa_bias(jnp.array([0, 2]), *(jnp.full((1, 1), x) for x in (3.0, 0.5, 2.0)))
      [[0.40600586], [3.0]]

    Source: Wennberg & Henter 2021 (arXiv 2106.01950), eq. 5. The official code evaluates it at Δ - 1; this does not.
    """
    apart = distance.astype(jnp.float32)[..., None, None] - offset
    return jnp.sum(amplitude * jnp.exp(-jnp.abs(sharpness) * jnp.square(apart)), axis=-2)


def build(kernels: int = 5) -> Encoding:
    """TISA with ``kernels`` bumps per head and layer; at the start a, s ~ N(0.1, 0.01) and o ~ N(0, 5).

    Wennberg & Henter 2021 (arXiv 2106.01950), where it takes the place of every other encoding.
    """
    if kernels < 1:
        raise ValueError(f"kernels must be >= 1, got {kernels}")

    def init(rng, dims):
        draw = lambda rng: jax.random.normal(rng, (kernels, dims.num_heads))
        a, s, o = map(draw, jax.random.split(rng, 3))
        return {"amplitude": 0.1 + 0.01 * a, "sharpness": 0.1 + 0.01 * s, "offset": 5.0 * o}

    def bias(params, q_features, k_features, rest, call):
        bumps = (params["amplitude"], params["sharpness"], params["offset"])
        return by_distance(call, lambda distance: tisa_bias(distance, *bumps), width=bumps[0].size)

    return Encoding(init=init, bias=bias)
