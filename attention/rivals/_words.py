"""The words of texts, and the tag that is wanted at each."""

import itertools
from collections.abc import Sequence

import numpy as np

from attention.data.contracts import NOTHING
from attention.rivals import Material, _places


def words(asked: Material) -> list[list[str]]:
    """The words of each text."""
    return [text.split(" ") for text in asked.split.texts]


def tags(asked: Material) -> list[np.ndarray]:
    """The class that is wanted at each word of each text, int64 ``[n]``, -1 where none is."""
    assert asked.split.wanted is not None
    numbers = {name: number for number, name in enumerate(asked.classes)} | {NOTHING: -1}
    return [np.array([numbers[name] for name in line.split(" ")], np.int64) for line in asked.split.wanted]


def amount(train: Material) -> int:
    """How many words there are."""
    return sum(text.count(" ") + 1 for text in train.split.texts)


def outputs(told: list[np.ndarray], asked: Material) -> dict[str, np.ndarray]:
    """What is said of the words that the rows ask for, of a tag for each word; a row may have lost its last ones."""
    assert asked.split.wanted is not None
    kept = [np.zeros(0, np.int64)]
    for found, line, count in zip(told, asked.split.wanted, asked.rows.asked.tolist()):
        wanted = np.array([word != NOTHING for word in line.split(" ")])
        kept.append(found[wanted][:count])
    flat = np.concatenate(kept).astype(np.int32)
    right = flat == _places.wanted(asked.rows)
    return {name: _places.placed(array, asked.rows) for name, array in (("predicted", flat), ("right", right))}


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
