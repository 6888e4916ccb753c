"""What the tests of masks share: pairs of positions, and the tables of a mask and of a reference as matrices."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

import attention
from attention.records import Call

T = 24  # of the counts


class Pair(NamedTuple):
    """The positions of a query and a key, the last one of their text, and the segments the two are in."""

    i: int
    j: int
    last: int
    s: int = 0
    t: int = 0


def matrix(allowed, q, k, last, s=None, t=None):
    """The reference on positions ``q`` and ``k``, bool ``[T S]``."""
    s, t = np.zeros_like(q) if s is None else s, np.zeros_like(k) if t is None else t
    rows = [[allowed(Pair(i, j, last, x, y)) for j, y in zip(k.tolist(), t.tolist())] for i, x in zip(q.tolist(), s.tolist())]
    return np.array(rows, bool).reshape(len(q), len(k))


def pairs(mask, call, T, S, batch=()):
    """The mask's pairs, ``[*batch T S]``."""
    found = None if mask.apply is None else mask.apply(call, (T, S))
    found = np.ones((1, T, S), bool) if found is None else np.asarray(found)
    assert found.dtype == bool
    assert found.shape[-3] == 1
    return np.broadcast_to(found[..., 0, :, :], (*batch, T, S))


def square(spec, T=T):
    """The pairs of a text of ``T`` tokens."""
    one = jnp.zeros(T, jnp.int32)
    return pairs(attention.build("mask", spec), Call(q_segments=one, k_segments=one), T, T)


def tiled(pairs, bq, bk):
    """Whether each block holds an allowed pair."""
    T, S = pairs.shape
    return np.array([[pairs[a : a + bq, b : b + bk].any() for b in range(0, S, bk)] for a in range(0, T, bq)])


def band(T, reach):
    """The number of pairs at most ``reach`` apart."""
    return T * (2 * reach + 1) - reach * (reach + 1)


WINDOW = "window must be an even number >= 0, got {}"
