r"""softmax over the k largest scores.

```math
a = \text{softmax over the keys with } s_j \ge \text{the } k\text{-th largest score}
```

Softmax on a short list.

When: a hard limit on how many keys count. Jumps where two scores change places, and keys off the list have no gradient;
all that tie with the k-th are kept.
Source: Zhao et al. 2019 (arXiv 1912.11637).
Family: Exact zeros
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from attention.normalizers._common import close_weights
from attention.normalizers._entmax import along_last, top_of
from attention.normalizers._threshold import total
from attention.normalizers.softmax import softmax
from attention.precision import widen
from attention.records import Normalizer, NormalizerClaims

__all__ = ["topk"]


def topk(
    scores: Float[Array, "*A"], where: Bool[Array, "..."] | None = None, *, axis: int = -1, k: int = 8
) -> Float[Array, "*A"]:
    """``a = softmax(s)`` over the keys whose score is at least the k-th largest of the row, 0 elsewhere.

    The k-th largest is found by bisection on the number of keys above a bound: exactly, and without a sort. Where scores tie
    with it, all of them are kept. The gradient is that of softmax on the keys kept. Derivatives of second order are supported.

    Args:
      scores: ``[..., S]``, any float type; computed in float32 or wider and cast back.
      where: bool, broadcast to ``scores``, True = may attend; None allows all.
      axis: the axis of the keys.
      k: how many keys are kept, >= 1; rows with fewer allowed keys keep them all.

    Returns:
      Weights of the shape and type of ``scores``; rows sum to 1, masked entries are exactly 0 with gradient exactly 0, and a
      row without an allowed key is all zeros. A NaN or +inf among the allowed scores of a row makes the row NaN.

    Raises:
      ValueError: for k < 1, or a mask that is not boolean or does not broadcast.

    Example:
      >>> attention.topk(jnp.array([1.0, 2.0, 0.5, -1.0, 1.8]), k=2)
      [0.0, 0.549834, 0.0, 0.0, 0.450166]

    Source: Zhao et al. 2019 (arXiv 1912.11637), eq. 4-6.
    """
    check_k(k)
    z, mask = along_last(scores, where, axis)
    kept = ~(z < kth_largest(jax.lax.stop_gradient(z), mask, k))  # so that a NaN is kept, and seen
    kept = jnp.moveaxis(kept if mask is None else kept & mask, -1, axis)
    return close_weights(softmax(widen(scores), kept, axis=axis), scores, where)


def check_k(k: int) -> None:
    """Refuses a number of keys below 1."""
    if k < 1:
        raise ValueError(f"k must be >= 1, got {k}")


def kth_largest(z: jax.Array, mask: jax.Array | None, k: int) -> jax.Array:
    """A bound ``[..., 1]`` that the k largest allowed scores of each row reach, and no others; -inf where there are fewer."""
    z, top = top_of(z, mask)
    largest = jnp.finfo(z.dtype).max
    finite = jnp.isfinite(z)
    # From here on at least k keys are at or above ``low``, and fewer at or above ``high``.
    low = jnp.min(z, axis=-1, keepdims=True, where=finite, initial=largest)
    high = jnp.nextafter(jnp.clip(top, -largest, largest), jnp.inf)
    count = total((z >= low).astype(z.dtype))

    def open_rows(low, high, count):
        middle = 0.5 * low + 0.5 * high
        return (count > k) & (middle > low) & (middle < high)

    def halve(state):
        low, high, count = state
        middle = 0.5 * low + 0.5 * high
        above = total((z >= middle).astype(z.dtype))
        enough, still = above >= k, open_rows(low, high, count)
        return (
            jnp.where(still & enough, middle, low),
            jnp.where(still & ~enough, middle, high),
            jnp.where(still & enough, above, count),
        )

    low, _, count = jax.lax.while_loop(lambda state: jnp.any(open_rows(*state)), halve, (low, high, count))
    return jnp.where(count >= k, low, -jnp.inf)


def build(k: int = 8) -> Normalizer:
    """Softmax over the ``k`` keys with the largest scores."""
    check_k(k)
    return Normalizer(
        apply=lambda params, scores, mask, call: topk(scores, mask, k=k), claims=NormalizerClaims(exact_zeros=True)
    )
