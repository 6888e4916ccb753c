"""Spans of words, as labels that begin with B-, I-, E- or S- mark them, by the rules of conlleval.

A span begins at B and S; at I and E after O, E, S or another type. It ends before B, S and O, before another type, and after E
and S. So an I without a B before it begins one, too.
"""

from collections.abc import Sequence

import numpy as np

_KINDS = ("O", "B", "I", "E", "S")
# Of two neighbours of one type, the earlier down: whether a span begins at the later, and whether one ends before it.
_BEGINS = np.array([[k == "O" or later in "BS" or k in "ES" for later in _KINDS] for k in _KINDS]) & (np.array(_KINDS) != "O")
_ENDS = np.array([[later in "OBS" or k in "ES" for later in _KINDS] for k in _KINDS]) & (np.array(_KINDS) != "O")[:, None]


def types_of(classes: Sequence[str]) -> tuple[str, ...]:
    """The types of spans that classes mark, sorted; none where one is neither O nor marked, or none is B- or I-."""
    marks = {name.partition("-")[0] for name in classes if name != "O"}
    marked = all(name == "O" or (name[1:2] == "-" and name[0] in _KINDS[1:] and len(name) > 2) for name in classes)
    return tuple(sorted({name[2:] for name in classes if name != "O"})) if marked and marks & {"B", "I"} else ()


def counts(wanted: np.ndarray, predicted: np.ndarray, classes: Sequence[str]) -> np.ndarray:
    """For each type how many spans are right, how many are predicted and how many there are, int64 ``[types 3]``.

    A span is right where one of its type begins and ends with it.

    Args:
      wanted: classes of words, ``[w]``, below 0 for O, as between two texts.
      predicted: the same.
      classes: those of ``types_of``.
    """
    types = types_of(classes)
    own, said = (_spans(each, classes, types) for each in (wanted, predicted))
    count = lambda spans: np.bincount(spans[:, 2], minlength=len(types))
    both = own[np.isin(_numbered(own, wanted), _numbered(said, wanted))]
    return np.stack([count(both), count(said), count(own)], axis=-1)


def f1(right: np.ndarray, predicted: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """``2 tp / (predicted + wanted)``, 0 where there is neither."""
    return 2 * right / np.maximum(predicted + wanted, 1)


def _spans(labels: np.ndarray, classes: Sequence[str], types: Sequence[str]) -> np.ndarray:
    """The first word of each span, that after its last, and its type, int64 ``[spans 3]``."""
    kind = np.array([*(_KINDS.index(name[0]) for name in classes), 0])
    kind_of = np.concatenate([[0], kind[np.maximum(labels, -1)], [0]])
    number = np.array([*(types.index(name[2:]) if name != "O" else -1 for name in classes), -1])
    type_of = np.concatenate([[-1], number[np.maximum(labels, -1)], [-1]])
    earlier, later, other = kind_of[:-1], kind_of[1:], type_of[:-1] != type_of[1:]
    begins = np.flatnonzero(_BEGINS[earlier, later] | (other & (later > 0)))
    ends = np.flatnonzero(_ENDS[earlier, later] | (other & (earlier > 0)))
    return np.stack([begins, ends, type_of[begins + 1]], axis=-1)


def _numbered(spans: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """A number for each span, equal for equal ones."""
    first, last, kind = spans.T
    return (kind * (len(labels) + 1) + first) * (len(labels) + 1) + last
