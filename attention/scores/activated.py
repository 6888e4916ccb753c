r"""φ(qᵀWk + u·[q; k] + b): a bilinear layer with one output, and its activation.

```math
s_{ij} = \varphi(q_i^\top W k_j + u \cdot [q_i; k_j] + b)
```

When: to see what the tutorials' `exp(σ(QK + Vh + b)) / Σ` does, or `relu` as a gate on keys.
Traps: with softmax and `sigmoid` scores lie in (0, 1), so no weight is more than e times another: nearly a mean. With `tanh`
it is e² at most; `relu` is bounded below alone.
Source: Socher et al. 2013 (neural tensor network, NeurIPS), eq. 1 with one slice.
Family: Small networks
"""

from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from attention.records import Score
from attention.scores._common import xavier, xavier_vector
from attention.scores.general import general_scores
from attention.scores.linear import linear_scores
from attention.specs import nearest

__all__ = ["activated_scores"]

Activation = Literal["sigmoid", "tanh", "relu"]
ACTIVATIONS = {"sigmoid": jax.nn.sigmoid, "tanh": jnp.tanh, "relu": jax.nn.relu}


def activated_scores(
    query: Float[Array, "*B T N H"],
    key: Float[Array, "*B S N G"],
    kernel: Float[Array, "N H G"],
    weight: Float[Array, "N H+G"],
    bias: float | Float[Array, " N"] = 0.0,
    *,
    activation: Activation = "sigmoid",
) -> Float[Array, "*B N T S"]:
    """A bilinear layer and its activation, ``s_ij = φ(q_iᵀ W k_j + u·[q_i; k_j] + b)``.

    With softmax and ``'sigmoid'`` the scores lie in (0, 1), so no weight of a row is more than e times another: nearly a mean.
    With ``'tanh'`` it is e² at most; ``'relu'`` is bounded below only.

    Args:
      query: ``[*B T N H]``.
      key: ``[*B S N G]``.
      kernel: W, ``[N H G]``.
      weight: u, ``[N H+G]``; the first H meet the query.
      bias: b, a number or one per head.
      activation: φ, ``'sigmoid'``, ``'tanh'`` or ``'relu'``.

    Returns:
      Scores ``[*B N T S]``, float32 (float64 for float64 inputs).

    Raises:
      ValueError: for an unknown activation.

    Example:
      >>> attention.activated_scores(jnp.ones((1, 1, 1)), jnp.ones((1, 1, 1)), jnp.ones((1, 1, 1)), jnp.array([[1.0, -2.0]]))
      [[[0.5]]]  # sigmoid(1 + 1 - 2)

    Source: Socher et al. 2013 (neural tensor network, NeurIPS), eq. 1 with one slice.
    """
    if activation not in ACTIVATIONS:
        wanted = ", ".join(ACTIVATIONS)
        raise ValueError(f"activation must be one of {wanted}{nearest(str(activation), ACTIVATIONS)}, got {activation!r}")
    return ACTIVATIONS[activation](general_scores(query, key, kernel, bias) + linear_scores(query, key, weight))


def build(activation: Activation = "sigmoid") -> Score:
    """A matrix ``W [H H]`` and a vector ``u [2H]``, Xavier at the start, and a number b per head and layer.

    Softmax makes of ``sigmoid`` nearly a mean: the largest weight is at most e times the smallest.
    """

    def init(rng, dims):
        N, H = dims.num_heads, dims.head_dim
        rng_w, rng_u = jax.random.split(rng)
        return {"kernel": xavier(rng_w, (N, H, H)), "weight": xavier_vector(rng_u, N, 2 * H), "bias": jnp.zeros(N)}

    def apply(params, query, key, call):
        return activated_scores(query, key, params["kernel"], params["weight"], params["bias"], activation=activation)

    return Score(apply=apply, init=init)
