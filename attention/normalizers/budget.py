r"""clip(s - θ, 0, 1) with Σ = k: a budget of k keys.

```math
a = \arg\min_{p \in [0, 1]^n,\; \sum p = k} \lVert p - s \rVert^2, \quad a_j = \text{clip}(s_j - \theta, 0, 1)
```

Chooses k keys, softly: weights up to 1 that sum to k.

When: the question is which k keys, not which one. A full key has no gradient (key 2 in the figure), nor has an empty one.
The output is a sum of about k values, so it is about k times as large as softmax's.
Source: the budget polytope of Blondel et al. 2020 (arXiv 1901.02324) and of the `entmax` package.
Family: Exact zeros
"""

import functools
import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from attention.carries import varying
from attention.normalizers._entmax import along_last, back, nonzero, top_of
from attention.normalizers._threshold import MAX_STEPS, total
from attention.records import Normalizer, NormalizerClaims

__all__ = ["budget"]


def budget(
    scores: Float[Array, "*A"], where: Bool[Array, "..."] | None = None, *, axis: int = -1, k: float = 2.0
) -> Float[Array, "*A"]:
    """The nearest point of the scores with weights in [0, 1] that sum to k, ``a_j = clip(s_j - θ, 0, 1)``.

    A relaxation of choosing k keys. θ is found without a sort, by Newton's method inside a bracket. With I the keys strictly
    between 0 and 1, ``da = ds - mean_I(ds)`` on I and 0 elsewhere. Derivatives of second order are supported; they vanish.

    Args:
      scores: ``[..., S]``, any float type; computed in float32 or wider and cast back.
      where: bool, broadcast to ``scores``, True = may attend; None allows all.
      axis: the axis of the keys.
      k: the budget, > 0; rows with fewer than k allowed keys give each of them 1.

    Returns:
      Weights in [0, 1] of the shape and type of ``scores``; rows sum to k, or to n_i where that is less. Masked entries are
      exactly 0 with gradient exactly 0, and a row without an allowed key is all zeros. A NaN or +inf among the allowed scores
      of a row makes the row NaN.

    Raises:
      ValueError: for a budget that is not finite and > 0, or a mask that is not boolean or does not broadcast.

    Example:
      >>> attention.budget(jnp.array([1.0, 2.0, 0.5, -1.0, 1.8]))
      [0.1, 1.0, 0.0, 0.0, 0.9]

    Source: the budget polytope as in Blondel, Martins & Niculae 2020 (arXiv 1901.02324) and the ``entmax`` package.
    """
    _check(k)
    z, mask = along_last(scores, where, axis)
    return back(_budget(float(k), z, mask), mask, scores, axis)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _budget(k: float, z: jax.Array, mask: jax.Array | None) -> jax.Array:
    z, top = top_of(z, mask)
    z = jnp.clip(z - top, -jnp.finfo(z.dtype).max, None)  # -inf, masked ones among them, is as far as can be
    count = total(z > -jnp.finfo(z.dtype).max)
    wanted, eps = jnp.minimum(k, count).astype(z.dtype), float(jnp.finfo(z.dtype).eps)

    def step(state):
        theta, low, high, _, steps = state
        part = jnp.clip(z - theta, 0.0, 1.0)
        value, slope = total(part), total(jnp.sign(part) * jnp.sign(1.0 - part))  # signs: XLA sums them faster than booleans
        low, high = jnp.where(value >= wanted, theta, low), jnp.where(value <= wanted, theta, high)
        after = theta + (value - wanted) / nonzero(slope)
        after = jnp.where((slope > 0) & (after > low) & (after < high), after, 0.5 * (low + high))
        after = jnp.where(value == wanted, theta, after)
        moving = jnp.abs(after - theta) > eps * jnp.maximum(jnp.abs(theta), 1.0)
        return after, low, high, jnp.any(moving), steps + 1

    smallest = jnp.min(z, axis=-1, keepdims=True, where=z > -jnp.finfo(z.dtype).max, initial=0.0)
    low, high = smallest - 1.0, jnp.zeros_like(top)
    start = (jnp.maximum(low, -1.0), low, high, jnp.bool_(True), 0)
    start = varying(start, z)
    theta = jax.lax.while_loop(lambda state: state[3] & (state[4] < 2 * MAX_STEPS), step, start)[0]
    return jnp.clip(z - theta, 0.0, 1.0)


@_budget.defjvp
def _budget_jvp(k, primals, tangents):
    p = _budget(k, *primals)
    inside = (p > 0) & (p < 1)
    dz = jnp.where(inside, tangents[0], 0.0)
    size = total(inside.astype(p.dtype))
    return p, jnp.where(inside, dz - total(dz) / nonzero(size), 0.0)


def _check(k: float) -> None:
    if not (math.isfinite(k) and k > 0):
        raise ValueError(f"k must be a finite number > 0, got {k}")


def build(k: float = 2.0) -> Normalizer:
    """Weights in [0, 1] that sum to ``k``."""
    _check(k)
    return Normalizer(
        apply=lambda params, scores, mask, call: budget(scores, mask, k=k),
        claims=NormalizerClaims(row_sum="any", exact_zeros=True),
    )
