r"""Rectified linear attention: max(s, 0), with a gated norm on the output in place of normalised weights.

```math
o = \gamma \odot \frac{x}{\sqrt{\text{mean}(x^2) + \varepsilon}} \odot \sigma(w \odot x), \quad x = [s]_+ V
```

ReLU, undivided; a gated norm of the output keeps its size.

When: sparse weights at the price of a norm on the output. The figure shows the weights before it. The costs are those of
the weights.
Source: Zhang, Titov & Sennrich 2021 (arXiv 2104.07012).
Family: Each key on its own
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from attention.normalizers.pointwise import build as pointwise_build
from attention.normalizers.qk_norm import rms_normalized
from attention.precision import widen
from attention.records import Dims, Normalizer, Params

__all__ = ["gated_rms_norm"]


def gated_rms_norm(
    x: Float[Array, "*B N H"], scale: Float[Array, "N H"], gate: Float[Array, "N H"], *, epsilon: float = 1e-6
) -> Float[Array, "*B N H"]:
    """Gated RMS norm over all heads, ``γ ⊙ x / √(mean x² + ε) ⊙ σ(w ⊙ x)``. Derivatives of second order are supported.

    Args:
      x: ``[*B N H]``, any float type; computed in float32 or wider and cast back.
      scale: γ.
      gate: w.
      epsilon: ε > 0.

    Returns:
      An array like ``x``; zeros stay zeros.

    Example:
      >>> attention.gated_rms_norm(jnp.array([[3.0, 3.0]]), jnp.ones((1, 2)), jnp.zeros((1, 2)))
      [[0.5, 0.5]]

    Source: Zhang, Titov & Sennrich 2021 (arXiv 2104.07012), eq. 7.
    """
    wide = widen(x)
    return (scale * rms_normalized(wide, 2, epsilon=epsilon) * jax.nn.sigmoid(gate * wide)).astype(x.dtype)


def build() -> Normalizer:
    """ReLU of the scores, undivided, and a gated RMS norm of the heads' outputs; γ is 1 and w is 0 at the start.

    Zhang, Titov & Sennrich 2021 (arXiv 2104.07012). Masked keys get exactly nothing; the authors' code multiplies their scores
    by 0, which is the same for a ReLU.
    """

    def init(rng, dims: Dims) -> Params:
        shape = (dims.num_heads, dims.head_dim)
        return {"scale": jnp.ones(shape), "gate": jnp.zeros(shape)}

    def finish(params, output, x, call):
        return gated_rms_norm(output, params["scale"], params["gate"])

    return pointwise_build("relu", 0.0)._replace(init=init, finish=finish)
