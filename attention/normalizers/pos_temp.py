r"""Queries scaled by the logarithm of their position: late ones attend more sharply.

```math
q_i \leftarrow q_i \left(1 + c \log\left(1 + \left\lfloor \frac{i + 1}{F} \right\rfloor\right)\right),
\quad \text{then } \texttt{inner}
```

Late queries are sharper: `ssmax` in steps, by position.

When: contexts of many times F = 8192 tokens, on layers without rotary positions. Before position F - 1 nothing changes.
The figure shows the query at position 131,071, where the scale is 1.28.
Source: the published code of Llama 4.
Family: Before the normalizer
"""

import math

import jax.numpy as jnp
from jaxtyping import Array, Float, Num

from attention.normalizers._common import check_positive
from attention.normalizers._wrapper import wrap
from attention.precision import widen
from attention.records import Normalizer

__all__ = ["pos_temp"]


def pos_temp(
    query: Float[Array, "*B T N H"], positions: Num[Array, "*#B T"], *, scale: float = 0.1, floor: int = 8192
) -> Float[Array, "*B T N H"]:
    """Position temperature, ``q_i (1 + c log(1 + ⌊(i + 1) / F⌋))``: nothing changes before position F - 1.

    Args:
      query: ``[*B T N H]``.
      positions: i, 0, 1, ..., integers ``[*#B T]``.
      scale: c, finite.
      floor: F >= 1.

    Returns:
      Queries of the same shape and type, computed in float32 or wider.

    Raises:
      ValueError: for a floor below 1, or a scale that is not finite.

    Example:
      >>> attention.pos_temp(jnp.ones((1, 1, 1)), jnp.array([15]), scale=1.0, floor=8)
      [[[2.0986123]]]

    Source: Llama 4, as in its published code ("attention temperature tuning").
    """
    _check(scale, floor)
    steps = jnp.floor_divide(positions.astype(jnp.int32) + 1, floor).astype(jnp.float32)
    return (widen(query) * (1.0 + scale * jnp.log1p(steps))[..., :, None, None]).astype(query.dtype)


def _check(scale: float, floor: int) -> None:
    if not math.isfinite(scale):
        raise ValueError(f"scale must be a finite number, got {scale}")
    check_positive("floor", floor)


def build(scale: float = 0.1, floor: int = 8192, inner: Normalizer | str = "softmax") -> Normalizer:
    """Queries scaled by position before ``inner``. Without rotary positions, where its model used it."""
    _check(scale, floor)
    assert isinstance(inner, Normalizer)

    def qk(params, query, key, call):
        return pos_temp(query, call.q_positions, scale=scale, floor=floor), key

    return wrap(inner, qk=qk, positional=True)
