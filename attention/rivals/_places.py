"""The places of rows at which anything is wanted."""

import numpy as np

from attention.data.contracts import Encoded


def wanted(rows: Encoded) -> np.ndarray:
    """What is wanted, in the order of rows and places, int64 ``[k]``."""
    assert rows.wanted is not None
    return rows.wanted[rows.wanted >= 0].astype(np.int64)


def placed(flat: np.ndarray, rows: Encoded) -> np.ndarray:
    """What is said of these places, ``[k]``, as a task says it: ``[n K]``, zeros behind the last of a row."""
    there = np.arange(rows.asked.max(initial=0)) < rows.asked[:, None]
    found = np.zeros(there.shape, flat.dtype)
    found[there] = flat
    return found
