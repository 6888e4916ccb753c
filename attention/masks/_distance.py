"""Masks that depend on the distance of query and key alone."""

import jax
import jax.numpy as jnp
import numpy as np

from attention.records import Call


def positions(call: Call, lengths: tuple[int, int]) -> tuple[jax.Array, jax.Array]:
    """The positions of the block's queries and keys, 0, 1, ... where the call has none."""
    T, S = lengths
    q = jnp.arange(T) if call.q_positions is None else call.q_positions
    k = jnp.arange(S) if call.k_positions is None else call.k_positions
    return q, k


def blocks_within(lowest: int | None, highest: int | None, T: int, S: int, bq: int, bk: int) -> np.ndarray:
    """Which blocks hold a pair with ``lowest <= i - j <= highest``; None leaves a side open."""
    q_first, k_first = np.arange(0, T, bq)[:, None], np.arange(0, S, bk)[None, :]
    q_last, k_last = np.minimum(q_first + bq, T) - 1, np.minimum(k_first + bk, S) - 1
    keep = np.ones((len(q_first), k_first.shape[1]), bool)
    if highest is not None:
        keep &= q_first - k_last <= highest
    if lowest is not None:
        keep &= q_last - k_first >= lowest
    return keep
