r"""The rising half of a sine's first half turn over the longest text, added to the embeddings.

```math
p_{i,c} = \sin\left(\frac{i \pi}{2K}\right)
```

A quarter of a turn over the longest text K, the same in every channel.

Parameters: none. `max_length` is K, by default the longest text of training; `multi_frequency=True` (ours) gives channel
c the angle $(c+1) i \pi / (2K)$.
Claim: none.
Traps: K + m has the code of K - m. What is the same in every channel, layer norm takes away, so that a model with a norm
in front sees nothing: take `combine='concat'` or `multi_frequency`. Towards K the steps vanish.
Source: a form of tutorials.
Family: Forms of tutorials
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Num

from attention.encodings._embeddings import Combine, check_dim, check_scale, put
from attention.encodings._rotary import angles
from attention.positions import q_positions
from attention.records import Encoding

__all__ = ["sin_half_period"]


def sin_half_period(
    positions: Num[Array, "*B T"], dim: int, *, max_length: int, multi_frequency: bool = False
) -> Float[Array, "*B T D"]:
    """A quarter of a turn over the longest text K, ``PE[i, c] = sin(i π / (2K))`` in every channel.

    It rises from 0 to K and falls from there: K + m and K - m have one code, so it tells positions apart up to K alone.

    Args:
      positions: ``[*B T]``, integers of any size, or floats.
      dim: D >= 1.
      max_length: K >= 1.
      multi_frequency: give channel c the angle ``(c+1) i π / (2K)`` instead.

    Returns:
      ``[*B T D]`` float32, exact to 1e-6 for every int32 position.

    Raises:
      ValueError: for a dimension or a length below 1.

    Example:
      >>> attention.sin_half_period(jnp.array([0, 1, 2, 3, 4]), 1, max_length=4)
      [[0.0], [0.38268], [0.70711], [0.92388], [1.0]]

    Source: a form of tutorials; no paper proposes it. The multi-frequency form is ours.
    """
    check_dim(dim)
    _check(max_length)
    multiples = np.arange(1, dim + 1) if multi_frequency else np.ones(1)
    sines = jnp.sin(angles(positions, multiples * np.pi / (2 * max_length)))
    return jnp.broadcast_to(sines, (*positions.shape, dim))


def _check(max_length: int | None) -> None:
    if max_length is not None and max_length < 1:
        raise ValueError(f"max_length must be None or >= 1, got {max_length}")


def build(
    max_length: int | None = None, multi_frequency: bool = False, scale: float = 1.0, combine: Combine = "add"
) -> Encoding:
    """A sine that peaks at ``max_length`` (None for the longest text of training), times ``scale``.

    What is the same in every channel, layer norm takes away: with a norm before every layer the model sees nothing of it.
    ``combine='concat'``, which puts it behind the embeddings as one column, for which their first channel makes room, is seen;
    that of several frequencies would take every channel, and is refused.
    """
    _check(max_length)
    check_scale(scale)
    if multi_frequency and combine != "add":
        raise ValueError("combine='concat' puts one column behind the embeddings, and multi_frequency has one per channel")

    def embed(params, x, tokens, call):
        K = max_length or call.max_length
        if K is None:
            raise ValueError("sin_half_period needs its max_length, or max_length= of the layer (of Call)")
        T, D = x.shape[-2:]
        dim = D if combine == "add" else 1
        code = sin_half_period(q_positions(call, T), dim, max_length=K, multi_frequency=multi_frequency)
        return put(x, scale * code, combine)

    return Encoding(embed=embed)
