r"""Queries and keys normalised before they meet, in six forms.

```math
s = g\, \hat q \cdot \hat k \;\; (\texttt{l2\_scale}, \texttt{l2\_fixed}, \texttt{l2\_head\_clamp}),
\quad \text{or } q, k \leftarrow \text{RMSNorm, LayerNorm } (\texttt{rms\_head}, \texttt{rms\_full},
\texttt{layernorm})
```

Lengths of queries and keys no longer count, or only up to learned weights: scores cannot grow without bound.

When: large learning rates, low precision, many layers; `rms_head` is today's usual form. In the figure each key has its
score along the query and (0, 2, 0, 0.5, 0.5) across it. Keys 1 and 3 point exactly along the query and tie, whatever
their length; key 2 is long but points elsewhere. Softmax (grey) sees the scores alone.
Source: Henry et al. 2020 (arXiv 2010.04245); SwinV2 (arXiv 2111.09883), ViT-22B (arXiv 2302.05442), OLMo 2 (arXiv
2501.00656).
Family: Before the normalizer
"""

import math
from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from attention.heads import all_heads
from attention.normalizers._common import train_length
from attention.normalizers._wrapper import wrap
from attention.precision import widen
from attention.records import Dims, Normalizer, Params
from attention.scores.cosine import unit

__all__ = ["layer_normalized", "rms_normalized"]

Form = Literal["l2_scale", "l2_fixed", "l2_head_clamp", "rms_head", "rms_full", "layernorm"]


def rms_normalized(x: Float[Array, "*A"], axes: int = 1, *, epsilon: float = 1e-6) -> Float[Array, "*A"]:
    """Vectors of root mean square one, ``x / √(mean x² + ε)`` over the last ``axes`` axes, without a weight.

    Args:
      x: of any float type; computed in float32 or wider and cast back.
      axes: how many of the last axes make a vector, >= 1.
      epsilon: ε > 0.

    Returns:
      An array like ``x``.

    Example:
      >>> attention.rms_normalized(jnp.array([3.0, 3.0]))
      [1.0, 1.0]

    Source: Zhang & Sennrich 2019 (arXiv 1910.07467).
    """
    wide = widen(x)
    return (wide * jax.lax.rsqrt(jnp.mean(wide * wide, axis=_last(axes), keepdims=True) + epsilon)).astype(x.dtype)


def layer_normalized(x: Float[Array, "*A"], axes: int = 1, *, epsilon: float = 1e-6) -> Float[Array, "*A"]:
    """Vectors of mean zero and variance one, ``(x - mean) / √(var + ε)`` over the last ``axes`` axes, without a weight.

    Args:
      x: of any float type; computed in float32 or wider and cast back.
      axes: how many of the last axes make a vector, >= 1.
      epsilon: ε > 0.

    Returns:
      An array like ``x``.

    Example:
      >>> attention.layer_normalized(jnp.array([1.0, 3.0]))
      [-1.0, 1.0]

    Source: Ba et al. 2016 (arXiv 1607.06450).
    """
    wide = widen(x)
    return rms_normalized(wide - jnp.mean(wide, axis=_last(axes), keepdims=True), axes, epsilon=epsilon).astype(x.dtype)


def _last(axes: int) -> tuple[int, ...]:
    return tuple(range(-axes, 0))


# Forms with weights: the norm, and over how many axes it runs.
WEIGHTED: dict[str, tuple[Callable[..., jax.Array], int]] = {
    "rms_head": (rms_normalized, 1),
    "rms_full": (rms_normalized, 2),
    "layernorm": (layer_normalized, 1),
}


def build(form: Form = "rms_head", inner: Normalizer | str = "softmax") -> Normalizer:
    """Normalises queries and keys, before any rotation, for ``inner``.

    ``l2_scale``: g q̂·k̂, g learned per layer from log₂(L² - L), L the training length (Henry et al. 2020, arXiv 2010.04245).
    ``l2_fixed``: 10 q̂·k̂. ``l2_head_clamp``: exp(min(ρ, log 100)) q̂·k̂, one ρ per head from log 10 (SwinV2, arXiv 2111.09883).
    ``rms_head``: RMSNorm over a head, weights shared by the heads (Qwen3). ``rms_full``: RMSNorm over all heads at once
    (OLMo 2, arXiv 2501.00656). ``layernorm``: LayerNorm over a head, with weights and without biases (ViT-22B, arXiv
    2302.05442). The first three leave out the score's 1/√H.
    """
    assert isinstance(inner, Normalizer)
    init, qk = _weighted_form(form) if form in WEIGHTED else _length_form(form)
    return wrap(inner, init=init, qk=qk)


def _length_form(form: Form) -> tuple[Any, Any]:
    def init(rng, dims: Dims) -> Params:
        if form == "l2_head_clamp":
            return {"log_scale": jnp.full(dims.num_heads, math.log(10.0))}
        length = max(train_length(dims, "qk_norm(form=l2_scale)"), 2)
        return {"scale": jnp.full((), math.log2(length**2 - length))}

    def gain(params: Params) -> Any:
        if form == "l2_head_clamp":
            return jnp.exp(jnp.minimum(params["log_scale"], math.log(100.0)))[:, None]
        return params["scale"] if form == "l2_scale" else 10.0

    def qk(params, query, key, call):
        # The score multiplies by call.scale, which these forms do without.
        scaled = widen(unit(query)) * (gain(params) / call.scale)
        return scaled.astype(query.dtype), unit(key)

    return None if form == "l2_fixed" else init, qk


def _weighted_form(form: Form) -> tuple[Any, Any]:
    norm, axes = WEIGHTED[form]

    def init(rng, dims: Dims) -> Params:
        shape = lambda heads: (heads, dims.head_dim) if axes == 2 else (dims.head_dim,)
        return {"query": jnp.ones(shape(dims.num_heads)), "key": jnp.ones(shape(dims.kv_heads))}

    def qk(params, query, key, call):
        if axes == 2:
            all_heads("qk_norm(form=rms_full)", call)
        weigh = lambda x, weight: (widen(norm(x, axes)) * weight).astype(x.dtype)
        return weigh(query, params["query"]), weigh(key, params["key"])

    return init, qk
