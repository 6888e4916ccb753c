"""A softmax over positions of vᵀ tanh(Wx + b), and the weighted sum."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from attention.normalizers.softmax import softmax
from attention.poolings._valid import valid
from attention.records import Pooled, Pooling

__all__ = ["additive_pool"]


def additive_pool(
    x: Float[Array, "*B T D"],
    kernel: Float[Array, "D A"],
    bias: Float[Array, " A"],
    vector: Float[Array, " A"],
    where: Bool[Array, "*#B T"] | None = None,
) -> tuple[Float[Array, "*B D"], Float[Array, "*B T"]]:
    """Additive attention pooling, ``α = softmax_t(vᵀ tanh(W x_t + b))``, ``y = Σ_t α_t x_t``.

    Args:
      x: ``[*B T D]``.
      kernel: W, ``[D A]``.
      bias: b, ``[A]``.
      vector: v, ``[A]``.
      where: bool ``[*#B T]``, the positions that count; None for all.

    Returns:
      y ``[*B D]`` and α ``[*B T]`` in float32; zeros where no position counts.

    Example:
      >>> attention.additive_pool(x, kernel, bias, vector, where)

    Source: Yang et al. 2016 (HAN, NAACL), eq. 5-7.
    """
    hidden = jnp.tanh(jnp.einsum("...td,da->...ta", x, kernel.astype(x.dtype)) + bias.astype(x.dtype))
    scores = jnp.einsum("...ta,a->...t", hidden.astype(jnp.promote_types(x.dtype, jnp.float32)), vector)
    weights = softmax(scores, where)
    return jnp.einsum("...t,...td->...d", weights.astype(x.dtype), x), weights


def build(hidden: int = 64) -> Pooling:
    """Additive pooling with ``hidden`` units; D·A + 2A parameters."""
    if hidden < 1:
        raise ValueError(f"hidden must be >= 1, got {hidden}")

    def init(rng, dims):
        rng_w, rng_v = jax.random.split(rng)
        xavier = jax.nn.initializers.glorot_uniform()
        return {
            "kernel": xavier(rng_w, (dims.model_dim, hidden)),
            "bias": jnp.zeros(hidden),
            "vector": xavier(rng_v, (hidden, 1))[:, 0],
        }

    def apply(params, x, call):
        pooled, weights = additive_pool(x, params["kernel"], params["bias"], params["vector"], valid(x, call))
        return Pooled(pooled, weights)

    return Pooling(apply=apply, init=init)
