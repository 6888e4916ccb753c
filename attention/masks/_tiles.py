"""Blocks of a mask, for positions 0, 1, ...: which of them hold an allowed pair."""

from typing import NamedTuple

import numpy as np


class Tiles(NamedTuple):
    """The first and the last query of every block ``[ceil(T/bq) 1]``, and key ``[1 ceil(S/bk)]``."""

    q_first: np.ndarray
    q_last: np.ndarray
    k_first: np.ndarray
    k_last: np.ndarray


def tiles(T: int, S: int, bq: int, bk: int) -> Tiles:
    """The edges of the blocks; the last ones end with the sequence."""
    q_first, k_first = np.arange(0, T, bq)[:, None], np.arange(0, S, bk)[None, :]
    return Tiles(q_first, np.minimum(q_first + bq, T) - 1, k_first, np.minimum(k_first + bk, S) - 1)


def within(t: Tiles, lowest: int | None, highest: int | None, step: int = 1) -> np.ndarray:
    """Which blocks hold a pair with ``lowest <= i - j <= highest`` and i - j ≡ 0 mod ``step``; None leaves a side open."""
    low, high = t.q_first - t.k_last, t.q_last - t.k_first  # every distance between these occurs
    low = low if lowest is None else np.maximum(low, lowest)
    high = high if highest is None else np.minimum(high, highest)
    return high // step * step >= low


def near(t: Tiles, size: int, neighbours: int) -> np.ndarray:
    """Which blocks hold a pair in the same segment of ``size`` positions, or at most ``neighbours`` segments apart."""
    return (t.k_first // size - t.q_last // size <= neighbours) & (t.q_first // size - t.k_last // size <= neighbours)
