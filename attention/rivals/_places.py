"""The places of the rows of a split at which anything is wanted."""

import numpy as np

from attention.data.contracts import Encoded


def wanted(rows: Encoded) -> np.ndarray:
    """What is wanted, in the order of rows and places, int64 ``[k]``."""
    assert rows.wanted is not None
    return rows.wanted[rows.wanted >= 0].astype(np.int64)


def counts(rows: Encoded) -> np.ndarray:
    """At how many places of each row anything is wanted, int64 ``[n]``."""
    assert rows.wanted is not None
    before = np.concatenate([[0], np.cumsum(rows.wanted >= 0)])
    return np.diff(before[rows.offsets])


def placed(flat: np.ndarray, rows: Encoded) -> np.ndarray:
    """What is said at these places, ``[k]``, as a task says it: ``[n K]``, zeros behind the last of a row."""
    count = counts(rows)
    there = np.arange(count.max(initial=0)) < count[:, None]
    found = np.zeros(there.shape, flat.dtype)
    found[there] = flat
    return found
