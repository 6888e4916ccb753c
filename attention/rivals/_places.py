"""What rivals say of the places of rows, as ``tasks._places`` has it of a member."""

import numpy as np

from attention.data.contracts import ELSEWHERE, Encoded


def wanted(rows: Encoded) -> np.ndarray:
    """What is wanted at each place that is asked, in the order of rows and places, int64 ``[k]``; below 0 where unknown."""
    assert rows.wanted is not None
    return rows.wanted[rows.wanted != ELSEWHERE].astype(np.int64)


def outputs(rows: Encoded, predicted: np.ndarray, **others: np.ndarray) -> dict[str, np.ndarray]:
    """The outputs of a task, ``[n K]``, of what is said of these places, ``[k]`` each: 0 where a row has no more of them."""
    right = wanted(rows)
    flat = {"predicted": predicted.astype(np.int32), "known": right >= 0, "right": right == predicted, **others}
    asked = np.arange(rows.asked.max(initial=0)) < rows.asked[:, None]
    found = {name: np.zeros(asked.shape, array.dtype) for name, array in flat.items()}
    for name, array in flat.items():
        found[name][asked] = array
    return {"asked": asked, **found}
