r"""A learned bias per head and bucket of distances, shared by all layers.

```math
b_{ij} = E_{\beta(j - i),\, h}
```

A number per head and bucket: distances up to 7 have one each, then buckets grow, and from 91 on all is one.

Parameters: one table for all layers, N(0, D^-½) at the start. 32 `buckets`, half for later keys, on logarithms that end
at `max_distance` 128; `bidirectional=False` gives all to earlier ones.
Claim: none in the paper; the last bucket covers all that is far, and Press et al. found that it runs on, slowly in their
code.
Traps: T5 divides q·k by nothing and starts its projections smaller for it; with a scaled score the bias stays outside of
the scale ([slips](#slips-seen-in-tutorials-and-references)). Bucket borders in float32 logarithms move with the device;
here they are whole numbers. The bucket of later keys at distance 0 is never used.
Source: Raffel et al. 2019 (arXiv 1910.10683), section 2.1.
Family: Biases that are learned
"""

import bisect

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, Num

from attention.encodings._distances import by_distance
from attention.records import Encoding, EncodingClaims

__all__ = ["t5_buckets"]


def t5_buckets(
    relative: Num[Array, "*A"], *, buckets: int = 32, max_distance: int = 128, bidirectional: bool = True
) -> Int[Array, "*A"]:
    """T5's bucket of a relative position ``r = j - i``: exact up to E, logarithmic up to ``max_distance``, one beyond.

    With N buckets for a direction and ``E = N/2``: ``n`` for n < E, else ``min(E + ⌊log(n/E) / log(max_distance/E) · (N-E)⌋,
    N-1)``, where n = |r| and later keys (r > 0) have the upper half of the buckets; causal: n = max(-r, 0) and all buckets.

    Args:
      relative: key position minus query position, any integers, or floats where an encoding around it made them so.
      buckets: total number, even and >= 4 (bidirectional) or >= 2.
      max_distance: distance from which all share the last bucket, more than ``E``.
      bidirectional: whether later keys have buckets of their own; otherwise they share bucket 0.

    Returns:
      Bucket of each, in [0, buckets). The borders are found in exact integer arithmetic, not with a device's logarithm.

    Raises:
      ValueError: for too few buckets, or a ``max_distance`` not above the exact ones.

    Example:
      >>> attention.t5_buckets(jnp.array([-8, 0, 8, 200]))
      [8, 0, 24, 31]

    Source: Raffel et al. 2019 (arXiv 1910.10683), section 2.1 and the official code.
    """
    _check(buckets, max_distance, bidirectional)
    borders = jnp.asarray(_borders(buckets // 2 if bidirectional else buckets, max_distance))
    distance = jnp.abs(relative) if bidirectional else jnp.maximum(-relative, 0)
    bucket = jnp.searchsorted(borders, distance, side="right", method="compare_all")
    return bucket + jnp.where(relative > 0, buckets // 2, 0) if bidirectional else bucket


def _borders(count: int, max_distance: int) -> np.ndarray:
    """The smallest distance of bucket 1, 2, ... ``count`` - 1."""
    exact = count // 2
    borders = list(range(1, exact + 1))
    for step in range(1, count - exact):
        # log(n/E)/log(M/E)·(N-E) >= step  <=>  n^(N-E) >= E^(N-E-step) · M^step, in whole numbers.
        wanted = exact ** (count - exact - step) * max_distance**step
        power = lambda n: n ** (count - exact)
        borders.append(bisect.bisect_left(range(max_distance), wanted, lo=borders[-1], key=power))
    return np.asarray(borders[: count - 1], np.int32)


def _check(buckets: int, max_distance: int, bidirectional: bool) -> None:
    least = 4 if bidirectional else 2
    if buckets < least or buckets % 2:
        raise ValueError(f"buckets must be an even number >= {least}, got {buckets}")
    exact = buckets // 4 if bidirectional else buckets // 2
    if max_distance <= exact:
        raise ValueError(f"max_distance must be above the {exact} distances with a bucket each, got {max_distance}")


def build(buckets: int = 32, max_distance: int = 128, bidirectional: bool = True) -> Encoding:
    """T5's bias; one table ``[buckets N]`` for all layers, N(0, D^-½) at the start."""
    _check(buckets, max_distance, bidirectional)

    def shared(rng, dims):
        return {"table": jax.random.normal(rng, (buckets, dims.num_heads)) * dims.model_dim**-0.5}

    def bias(params, q_features, k_features, rest, call):
        options = {"buckets": buckets, "max_distance": max_distance, "bidirectional": bidirectional}
        return by_distance(call, lambda distance: params["table"][t5_buckets(-distance, **options)])

    return Encoding(shared=shared, bias=bias, claims=EncodingClaims(extrapolates=True))
