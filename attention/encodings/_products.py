"""Products of queries, or of keys, with a row per distance: found without a row for every pair."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from attention.encodings._rotary import angles

PIECES = 4  # fewer multiply more that is thrown away, more cost time to put together


class Rows(NamedTuple):
    """A row per distance.

    Attributes:
      values: ``[R N H]``, of the distances first, first + 1, ...
      first: an integer array without axes.
    """

    values: jax.Array
    first: jax.Array


def rows_between(own: jax.Array, other: jax.Array, rows: Callable[[jax.Array], jax.Array]) -> Rows:
    """The rows of all T + S - 1 distances ``other - own`` between positions that count up by ones.

    Args:
      own: positions ``[*#B T]`` of what is to be multiplied, alike for all examples.
      other: positions ``[*#B S]`` of the other side.
      rows: of distances ``[R]``, ``[R N H]``.
    """
    T, S = own.shape[-1], other.shape[-1]
    first = _first(own, other)
    return Rows(rows(first + jnp.arange(T + S - 1)), first)


def _first(own: jax.Array, other: jax.Array) -> jax.Array:
    return other.ravel()[0] - own.ravel()[0] - (own.shape[-1] - 1)


def times_rows(x: jax.Array, rows: Rows, own: jax.Array, other: jax.Array) -> jax.Array:
    """``x_i · row(other_j - own_i)`` of any block, ``[*B t N H]`` to ``[*B N t s]``.

    Products with the distances there are, shifted into place by reading them with rows one shorter: no pair has a row of its
    own. A number p of x meets p + s distances, s of them each, so x goes in groups of s, and those in pieces.
    """
    t, s, (N, H) = own.shape[-1], other.shape[-1], x.shape[-2:]
    size = min(t, s)
    groups = -(-t // size)
    filled = groups * size
    x = jnp.pad(x, [(0, 0)] * (x.ndim - 3) + [(0, filled - t), (0, 0), (0, 0)])
    x = x.reshape(*x.shape[:-3], groups, size, N, H)
    # A kernel fills up its last block with queries whose distances have no rows; what they get is cut off again.
    padded = jnp.pad(rows.values, ((filled, s + 1), (0, 0), (0, 0)))
    here = jax.lax.dynamic_slice_in_dim(padded, _first(own, other) - rows.first + t, filled + s)
    blocks = here.reshape(-1, s, N, H) if groups > 1 else here[None]
    windows = jnp.concatenate([blocks[:-1], blocks[1:]], axis=1)[::-1] if groups > 1 else blocks
    if isinstance(size, int):
        step = -(-size // PIECES)
        pieces = [(start, min(start + step, size)) for start in range(0, size, step)]
    else:
        pieces = [(0, size)]  # jax.export leaves it open
    found = [_shifted(x[..., start:stop, :, :], windows[:, size - stop : size - start + s]) for start, stop in pieces]
    found = jnp.concatenate(found, axis=-2)
    return found.reshape(*found.shape[:-3], filled, s)[..., :t, :]


def _shifted(x: jax.Array, rows: jax.Array) -> jax.Array:
    """``[*B g t N H]`` times ``[g t+s N H]``, entry (i, j) with row ``j - i + t - 1``: ``[*B N g t s]``."""
    products = jnp.einsum("...gtnh,grnh->...ngtr", x, rows)
    *lead, t, width = products.shape
    flat = products.reshape(*lead, t * width)[..., t - 1 : t - 1 + t * (width - 1)]
    return flat.reshape(*lead, t, width - 1)[..., : width - t]


def pick(products: jax.Array, index: jax.Array) -> jax.Array:
    """Entry ``index [*#B t s]`` of every row of ``products [*B t N R]``, ``[*B N t s]``."""
    products = jnp.moveaxis(products, -2, -3)
    index = index[..., None, :, :]
    return jnp.take_along_axis(products, index.reshape((1,) * (products.ndim - index.ndim) + index.shape), axis=-1)


def with_sinusoids(x: jax.Array, positions: jax.Array, base: float = 10000.0) -> jax.Array:
    """What times the sinusoid of position j is ``x · R_{i-j}``: sinusoids of sums are products of sinusoids.

    Args:
      x: ``[*B T N D]``, D even, to be multiplied with sinusoids ``R``, all sines and then all cosines.
      positions: i, ``[*#B T]``.
      base: of the frequencies ``base^(-2t/D)``.
    """
    D = x.shape[-1]
    phi = angles(positions, base ** (-np.arange(0, D, 2, dtype=np.float64) / D))[..., None, :]
    sin, cos = jnp.sin(phi), jnp.cos(phi)
    of_sin, of_cos = x[..., : D // 2], x[..., D // 2 :]
    return jnp.concatenate([of_cos * sin - of_sin * cos, of_sin * sin + of_cos * cos], axis=-1)


def check_even(name: str, what: str, size: int) -> None:
    """Refuses an odd number of channels, which sines and cosines cannot share."""
    if size % 2:
        raise ValueError(f"{name} has as many sines as cosines: {what} must be even, got {size}")
