r"""one-hot(argmax s): hard attention, trained with the gradient of softmax.

```math
a = \text{one-hot}(\arg\max_j s_j), \quad \text{gradient of softmax}(s/\tau)
```

When: exactly one key has to be read. The true gradient is 0; the straight-through one is biased, on purpose. The first of
equal scores wins.
Source: Xu et al. 2015 (arXiv 1502.03044); the estimator, Bengio et al. 2013 (arXiv 1308.3432).
Family: Choosing keys
"""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from attention.normalizers._common import check_temperature, close_weights, open_scores
from attention.normalizers.softmax import softmax
from attention.precision import widen
from attention.records import Normalizer, NormalizerClaims

__all__ = ["hard"]


def hard(
    scores: Float[Array, "*A"],
    where: Bool[Array, "..."] | None = None,
    *,
    axis: int = -1,
    temperature: float = 1.0,
) -> Float[Array, "*A"]:
    """Hard attention, ``a = one-hot(argmax s)``, with the straight-through gradient of ``softmax(s/τ)``.

    The derivative is that of another function, on purpose: the true one is 0. Derivatives of second order are supported,
    and softmax's too.

    Args:
      scores: ``[..., S]``, any float type; computed in float32 or wider and cast back.
      where: bool, broadcast to ``scores``, True = may attend; None allows all.
      axis: the axis of the keys.
      temperature: τ > 0 of the softmax whose gradient is taken.

    Returns:
      Weights that are exactly 0 or 1, of the shape and type of ``scores``; of equal scores the first wins. Masked entries are
      0 with gradient exactly 0, and a row without an allowed key is all zeros. A NaN among the allowed scores of a row makes
      the row NaN.

    Raises:
      ValueError: for a temperature that is not positive, or a mask that is not boolean or does not broadcast.

    Example:
      >>> attention.hard(jnp.array([1.0, 2.0, 2.0]))
      [0.0, 1.0, 0.0]

    Source: hard attention, Xu et al. 2015 (arXiv 1502.03044); the estimator, Bengio et al. 2013 (arXiv 1308.3432).
    """
    check_temperature(temperature)
    z = open_scores(scores, where, fill=-jnp.inf)
    return close_weights(_straight_through(axis, temperature, z, where), scores, where)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def _straight_through(axis: int, temperature: float, z: jax.Array, where: jax.Array | None) -> jax.Array:
    if z.shape[axis] == 0:
        return z
    one_hot = jax.nn.one_hot(jnp.argmax(z, axis=axis), z.shape[axis], dtype=z.dtype, axis=axis)
    broken = jnp.isnan(jnp.max(z, axis=axis, keepdims=True))
    return jnp.where(broken, jnp.nan, one_hot)


@_straight_through.defjvp
def _straight_through_jvp(axis, temperature, primals, tangents):
    z, where = primals
    soft = lambda z: softmax(z, where, axis=axis, temperature=temperature)
    return _straight_through(axis, temperature, z, where), jax.jvp(soft, (z,), (tangents[0],))[1]


def build(temperature: float = 1.0) -> Normalizer:
    """One-hot weights, trained straight through."""
    check_temperature(temperature)
    apply = lambda params, scores, mask, call: hard(widen(scores), mask, temperature=temperature)
    return Normalizer(apply=apply, claims=NormalizerClaims(exact_zeros=True))
