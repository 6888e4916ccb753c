r"""The product of two sinusoidal codes as a bias: it falls off with the distance, and has nothing to learn.

```math
b_{ij} = \frac{N}{8h} \left( \sum_{t=1}^{P/2} \cos(\Delta / 10000^{2t/P}) - P/2 \right)
```

The product of two sinusoidal codes as a bias, with ALiBi's idea of heads.

Parameters: none; `dim` is P, the head's by default, 128 in the paper.
Claim: falls like the logarithm of the distance and runs on as `kerple` and `t5` do, with nothing to learn.
Traps: t starts at 1: with a term cos Δ the waves are larger. Older copies in NeMo lack the cosine and a frequency. With a
small P, as in the figure (P = 16), it is a wave more than a slope. Blind to direction.
Source: Chi et al. 2022 (arXiv 2212.10356), eq. 4.
Family: Biases with a shape
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Num

from attention.encodings._distances import by_distance
from attention.encodings._rotary import angles
from attention.heads import at_hand, total_heads
from attention.records import Encoding, EncodingClaims

__all__ = ["sandwich_bias"]


def sandwich_bias(distance: Num[Array, "*A"], num_heads: int, *, dim: int) -> Float[Array, "*A N"]:
    """Sandwich's bias, ``(Σ_t cos(Δ / 10000^(2t/P)) - P/2) / (8h/N)``, t = 1 .. P/2, h = 1 .. N.

    Args:
      distance: Δ = i - j, query minus key.
      num_heads: N >= 1.
      dim: P, an even number >= 2, 128 in the paper.

    Returns:
      float32 ``[*A N]``, 0 at distance 0, for every int32 distance to 1e-6 · P/2; added after scaling.

    Raises:
      ValueError: for an odd dim, or one below 2.

    Example:
      >>> attention.sandwich_bias(jnp.array([0, -1, -4]), 4, dim=16)[:, 0]
      [0.0, -0.027568, -0.39334]

    Source: Chi et al. 2022 (arXiv 2212.10356), eq. 4 and the code in section 4, causal; symmetric in Δ, so that it serves both
    directions. t starts at 1: there is no term cos(Δ).
    """
    _check(dim)
    t = np.arange(1, dim // 2 + 1, dtype=np.float64)
    waves = jnp.sum(jnp.cos(angles(distance, 10000.0 ** (-2 * t / dim))), axis=-1) - dim // 2
    return waves[..., None] / jnp.asarray(8.0 * np.arange(1, num_heads + 1) / num_heads, jnp.float32)


def _check(dim: int | None) -> None:
    if dim is not None and (dim < 2 or dim % 2):
        raise ValueError(f"dim must be an even number >= 2, got {dim}")


def build(dim: int | None = None) -> Encoding:
    """Sandwich with ``dim`` / 2 frequencies, None for those of the head dim; blind to direction.

    Chi et al. 2022 (arXiv 2212.10356).
    """
    _check(dim)

    def prepare(params, x, query, key, call):
        H = query.shape[-1]
        if dim is None and H % 2:
            raise ValueError(f"sandwich wants an even head dim, or its own dim, got {H}")
        return (), (), (total_heads(call, query.shape[-2]), dim or H)

    def bias(params, q_features, k_features, sizes, call):
        N, P = sizes
        return by_distance(call, lambda distance: at_hand(sandwich_bias(distance, N, dim=P), call), width=P // 2)

    return Encoding(prepare=prepare, bias=bias, claims=EncodingClaims(extrapolates=True))
