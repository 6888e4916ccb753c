r"""g·cos(q, k): the angle between query and key, times a learned gain per head.

```math
s_{ij} = g\, \frac{q_i \cdot k_j}{|q_i|\, |k_j|}
```

When: lengths of queries and keys should not matter; scores stay within ±g, so none can run away.
Traps: with a gain of 1 softmax over n keys is nearly a mean: the largest weight is e² times the smallest. It starts at 10.
Biases of encodings are added to scores of at most g.
Source: Graves et al. 2014 (arXiv 1410.5401), eq. 6; the learned gain, Henry et al. 2020 (arXiv 2010.04245).
Family: Products
"""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from attention.precision import widen
from attention.records import Score
from attention.scores._common import per_head
from attention.scores.dot import dot_scores

__all__ = ["cosine_scores", "unit"]


def unit(x: Float[Array, "*A"]) -> Float[Array, "*A"]:
    """Vectors of length one, ``x / √(Σx² + 1e-12)``; zero stays zero, with a finite gradient.

    Args:
      x: ``[..., H]``; the last axis holds the vectors.

    Returns:
      An array like ``x``, computed in float32 or wider.

    Example:
      >>> attention.unit(jnp.array([3.0, 4.0]))
      [0.6, 0.8]

    Source: Henry et al. 2020 (arXiv 2010.04245), section 3.
    """
    wide = widen(x)
    return (wide * jax.lax.rsqrt(jnp.sum(wide * wide, axis=-1, keepdims=True) + 1e-12)).astype(x.dtype)


def cosine_scores(
    query: Float[Array, "*B T N H"], key: Float[Array, "*B S N H"], gain: float | Float[Array, " N"] = 1.0
) -> Float[Array, "*B N T S"]:
    """Cosine similarities, ``s_ij = g · q_i·k_j / (|q_i| |k_j|)``.

    Args:
      query: ``[*B T N H]``.
      key: ``[*B S N H]``.
      gain: g, a number or one per head.

    Returns:
      Scores ``[*B N T S]`` in [-g, g], float32 (float64 for float64 inputs); 0 for a zero vector.

    Example:
      >>> attention.cosine_scores(jnp.ones((1, 1, 3)), jnp.array([[[7.0, 8.0, 9.0]]]))
      [[[0.9948]]]

    Source: Graves et al. 2014 (arXiv 1410.5401), eq. 6; learned gain as in Henry et al. 2020 (arXiv 2010.04245).
    """
    return dot_scores(unit(query), unit(key)) * per_head(gain)


def build(gain: float = 10.0) -> Score:
    """Cosine similarity times a gain per head and layer, learned from ``gain`` on."""
    if not (math.isfinite(gain) and gain > 0):
        raise ValueError(f"gain must be a finite number > 0, got {gain}")

    def init(rng, dims):
        return {"gain": jnp.full(dims.num_heads, gain)}

    def project(params, query, key, call):
        return unit(query), unit(key)  # before rotations, which keep the norm

    def apply(params, query, key, call):
        return dot_scores(query, key) * per_head(params["gain"])

    def factors(params, query, key, call):
        return query * params["gain"][:, None].astype(query.dtype), key

    return Score(apply=apply, init=init, project=project, factors=factors, dot_product=True)
