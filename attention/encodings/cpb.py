r"""A bias per head from a network that reads the logarithm of the distance.

```math
b_{ij} = 16\, \sigma(f(x)),
\quad x = \text{sign}(\Delta) \tfrac{1}{3} \log_2\left(1 + \tfrac{8 |\Delta|}{W - 1}\right)
```

A small network of the logarithm of the distance: a table that is continuous.

Parameters: f: 1 → 512 → N with ReLU and no last bias, N(0, 0.02) at the start, per layer or `shared`; W = 64. `form=nlp`
is f(sign(Δ) log(1 + |Δ|)) with SiLU and no bound.
Claim: windows grow after training with little loss, because logarithms stretch little beyond what was seen.
Traps: at the start every bias is about 8, alike for all pairs: nothing to softmax, but a level for `sigmoid` and the
like. The figure has weights twelve times as large, and what is left when the bias at Δ = 0 is taken off. Keys outside of
W are seen, unlike those of `table`.
Source: Liu et al. 2021 (arXiv 2111.09883), eq. 4; `nlp` after x-transformers.
Family: Biases that are learned
"""

from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Num

from attention.encodings._distances import by_distance
from attention.encodings._mlp import apply_mlp, init_mlp
from attention.records import Encoding, EncodingClaims

__all__ = ["log_spaced"]

Form = Literal["swin", "nlp"]
WINDOW = 64


def log_spaced(distance: Num[Array, "*A"], *, window: int | None = None) -> Float[Array, "*A"]:
    """Log-spaced distance, ``sign(x) log₂(1 + |x|) / 3`` of ``x = 8Δ / (W - 1)``, or ``sign(Δ) log(1 + |Δ|)``.

    Args:
      distance: Δ = i - j, query minus key.
      window: W >= 2, the distances that -1 .. 1 (nearly) covers; None for the second form.

    Returns:
      float32 ``[*A]``.

    Example:
      >>> attention.log_spaced(jnp.array([-7, 0, 7]), window=8)
      [-1.0566417, 0.0, 1.0566417]

    Source: Liu et al. 2021 (arXiv 2111.09883), eq. 4 and the official code (first); x-transformers (second).
    """
    x = distance.astype(jnp.float32) * (1.0 if window is None else 8.0 / (window - 1))
    return jnp.sign(x) * jnp.log1p(jnp.abs(x)) / (1.0 if window is None else jnp.log(8.0))


def build(hidden: int = 512, form: Form = "swin", window: int = WINDOW, shared: bool = False) -> Encoding:
    """Continuous bias from a network 1 → ``hidden`` → N per layer, or one for all if ``shared``.

    ``swin``: SwinV2's in one dimension, ``16 σ(f(x))`` with ``x = sign(Δ) log₂(1 + 8|Δ|/(W-1)) / 3``, ReLU, no last bias,
    weights N(0, 0.02) at the start, W the ``window`` of training: further keys are seen, not masked. ``nlp``: ``f(sign(Δ)
    log(1 + |Δ|))`` with SiLU, as torch's Linear layers at the start. Liu et al. 2021 (arXiv 2111.09883), section 3.3, per
    layer; x-transformers' DynamicPositionBias, one for all layers.
    """
    if hidden < 1:
        raise ValueError(f"hidden must be >= 1, got {hidden}")
    if window < 2:
        raise ValueError(f"window must be >= 2, got {window}")
    if form != "swin" and window != WINDOW:
        raise ValueError(f"window is for form='swin', got form={form!r}")

    def init(rng, dims):
        if form == "nlp":
            return init_mlp(rng, 1, hidden, dims.num_heads)
        rngs, draw = jax.random.split(rng), lambda rng, *shape: 0.02 * jax.random.normal(rng, shape)
        first = {"kernel": draw(rngs[0], 1, hidden), "bias": jnp.zeros(hidden)}
        return {"in": first, "out": {"kernel": draw(rngs[1], hidden, dims.num_heads)}}

    def bias(params, q_features, k_features, rest, call):
        network = params

        def of_distance(distance):
            x = log_spaced(distance, window=window if form == "swin" else None)[..., None]
            if form == "nlp":
                return apply_mlp(network, x, jax.nn.silu)
            return 16.0 * jax.nn.sigmoid(apply_mlp(network, x, jax.nn.relu))

        return by_distance(call, of_distance, width=hidden)

    return Encoding(
        shared=init if shared else None, init=None if shared else init, bias=bias, claims=EncodingClaims(extrapolates=True)
    )
