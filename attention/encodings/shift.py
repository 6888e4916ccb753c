r"""Positions shifted by a random number in training (SHAPE), so that only their differences can be learned.

```math
p_i = i + k, \quad k \sim U\{0, \ldots, K\} \text{ in training}, \quad k = 0 \text{ in evaluation}
```

Parameters: those of `inner`, by default `sinusoidal`; `most` is K = 500. Tables that end with the longest text get K rows
more.
Claim: as good as relative encodings at the price of absolute ones, with longer texts than in training among them.
Traps: pointless around what goes by distances. Evaluation starts at 0, which training has seen in one draw of K + 1. One
k per example, not per token.
Source: Kiyono et al. 2021 (arXiv 2109.05644).
Family: Around another
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from attention.encodings._wrapper import documents_of, draws_from, positions_of, sequence_of, wrap
from attention.positions import packed_segments
from attention.records import Call, Encoding, EncodingClaims

__all__: list[str] = []


def build(inner: Encoding | str = "sinusoidal", most: int = 500) -> Encoding:
    """``inner`` on positions ``i + k``, one k per example or packed document in training, uniform on
    {0 .. ``most``}, 0 in evaluation.

    Tables that end with the longest text get ``most`` rows more. Kiyono et al. 2021 (arXiv 2109.05644), K = 500.
    """
    assert isinstance(inner, Encoding)
    if most < 0:
        raise ValueError(f"most must be >= 0, got {most}")
    if inner.redraws:
        raise ValueError("shift moves positions that the encoding inside then makes anew: put it inside of that one")
    limits: tuple[Any, ...] = inner.max_length if isinstance(inner.max_length, tuple) else (inner.max_length,)
    if shortest := [limit for limit in limits if isinstance(limit, int) and limit <= most]:
        raise ValueError(f"most {most} leaves none of the {min(shortest)} positions of the encoding inside")
    left: tuple[Any, ...] = tuple(limit - most if isinstance(limit, int) else limit for limit in limits)
    limit = left[0] if len(left) == 1 else left
    longer = most if "dims" in limits else 0  # what has no table goes by distances, which stay what they are

    def positions(call: Call) -> Call:
        if not call.train:
            return call
        queries, keys = positions_of(call, "shift")
        documents = None if packed_segments(call) is None else documents_of(call, sequence_of(call, "shift")[-1])
        count = 1 if documents is None else documents.shape[-1]
        by = jax.random.randint(draws_from(call, "shift"), (*queries.shape[:-1], count), 0, most + 1)
        by = by if documents is None else jnp.take_along_axis(by, documents, axis=-1)
        return dataclasses.replace(call, q_positions=queries + by, k_positions=keys + by)

    seen = lambda length: None if length is None else length + longer
    return wrap(inner, positions=positions, seen=seen, max_length=limit, claims=EncodingClaims(extrapolates=True))
