"""The words of texts, and the tag that is wanted at each."""

import itertools
from collections.abc import Sequence

import numpy as np

from attention.rivals import Material, _places


def words(asked: Material) -> list[list[str]]:
    """The words of each text that a tag is asked of; the last ones of a long text are not."""
    return [text.split(" ")[:count] for text, count in zip(asked.split.texts, asked.rows.asked.tolist())]


def tags(asked: Material) -> list[np.ndarray]:
    """The class of each of these words, int64 ``[n]``; below 0 where it is not known."""
    return np.split(_places.wanted(asked.rows), np.cumsum(asked.rows.asked)[:-1])


def amount(train: Material) -> int:
    """How many of these words there are."""
    return int(train.rows.asked.sum())


def packed(names: Sequence[str]) -> np.ndarray:
    """Names without blanks as one array of bytes, uint8."""
    return np.frombuffer(" ".join(names).encode("utf-8", "surrogatepass"), np.uint8)


def unpacked(array: np.ndarray | None, count: int) -> list[str] | None:
    """So many names; None where these are not they, rising."""
    if array is None or array.dtype != np.uint8 or array.ndim != 1:
        return None
    try:
        names = array.tobytes().decode("utf-8", "surrogatepass").split(" ") if count or len(array) else []
    except UnicodeDecodeError:
        return None
    return names if len(names) == count and all(one < other for one, other in itertools.pairwise(names)) else None
