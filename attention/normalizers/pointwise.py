r"""h(s) / n^α: every key is weighed on its own by an activation, divided by a power of the number of keys.

```math
a_j = h(s_j) / n^{\alpha},
\quad h \in \{\text{relu}, \text{relu}^2, \text{relu6}, \text{gelu}, \text{softplus}, \sigma, \text{identity}\}
```

When: the cheapest of all; relu also gives exact zeros. α = 1 (`power`) keeps the output's size at any length.
`activation='relu2', power=2` is the attention of gated attention units. `identity` makes linear attention. A row without
a positive score is dead under relu: no weights, no gradient.
Source: Wortsman et al. 2023 (arXiv 2309.08586); Hua et al. 2022 (arXiv 2202.10447).
Family: Each key on its own
"""

import math
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from attention.normalizers._common import allowed_keys, close_weights, open_scores, pointwise_streaming
from attention.records import Normalizer, NormalizerClaims

__all__ = ["pointwise"]

Activation = Literal["relu", "relu2", "gelu", "softplus", "sigmoid", "identity", "relu6"]

ACTIVATIONS = {
    "relu": jax.nn.relu,
    "relu2": lambda s: jnp.square(jax.nn.relu(s)),
    "gelu": lambda s: jax.nn.gelu(s, approximate=False),
    "softplus": lambda s: jnp.maximum(s, 0.0) + jnp.log1p(jnp.exp(-jnp.abs(s))),
    "sigmoid": jax.nn.sigmoid,
    "identity": lambda s: s,
    "relu6": jax.nn.relu6,
}


def pointwise(
    scores: Float[Array, "*A"],
    where: Bool[Array, "..."] | None = None,
    *,
    axis: int = -1,
    activation: Activation = "relu",
    power: float = 1.0,
) -> Float[Array, "*A"]:
    """Pointwise attention weights, ``a_j = h(s_j) / n_i^α``.

    Derivatives of second order are those of h: none for relu, relu6 and identity.

    Args:
      scores: ``[..., S]``, any float type; computed in float32 or wider and cast back.
      where: bool, broadcast to ``scores``, True = may attend; None allows all.
      axis: the axis of the keys.
      activation: h: relu, relu2 (its square), gelu (with the normal distribution's integral), softplus, sigmoid, identity or
        relu6 (relu up to 6).
      power: α >= 0; 1 keeps the output's size whatever the length, 0 does not divide. n_i is the number of allowed keys.

    Returns:
      Weights of the shape and type of ``scores`` that sum to anything; negative ones for gelu and identity. Masked entries are
      exactly 0 with gradient exactly 0, so a row without an allowed key is all zeros. A NaN score makes its own weight NaN.

    Raises:
      ValueError: for an unknown activation, a negative power, or a mask that is not boolean or does not broadcast.

    Example:
      >>> attention.pointwise(jnp.array([1.0, 2.0, 0.5, -1.0, 1.8]))
      [0.2, 0.4, 0.1, 0.0, 0.36]

    Source: Wortsman et al. 2023 (arXiv 2309.08586), section 2. The squared ReLU of ``s/n`` in gated attention units, Hua et al.
    2022 (arXiv 2202.10447), is ``activation='relu2', power=2``. Their n is the padded length; n_i here.
    """
    _check(activation, power)
    z = open_scores(scores, where)
    return close_weights(ACTIVATIONS[activation](z) * allowed_keys(scores, where, axis) ** -power, scores, where)


def _check(activation: str, power: float) -> None:
    if activation not in ACTIVATIONS:
        raise ValueError(f"activation must be one of {', '.join(ACTIVATIONS)}, got {activation!r}")
    if not (math.isfinite(power) and power >= 0):
        raise ValueError(f"power must be a finite number >= 0, got {power}")


def build(activation: Activation = "relu", power: float = 1.0) -> Normalizer:
    """``activation`` of each score over the number of allowed keys to the ``power``."""
    _check(activation, power)
    return Normalizer(
        apply=lambda params, scores, mask, call: pointwise(scores, mask, activation=activation, power=power),
        reads="rows" if power else "block",
        streaming=pointwise_streaming(lambda params, z, count, call: ACTIVATIONS[activation](z) * count**-power),
        claims=NormalizerClaims(
            row_sum="any",
            exact_zeros=activation not in ("softplus", "sigmoid"),
            signed=activation in ("gelu", "identity"),
            shift_invariant=False,
        ),
    )
