"""Documents as rows of a language model: windows of T tokens, in each of which every token predicts the next.

Documents stand end to end, each begun by one id, which also ends the one before, and the last. Of the tokens ``x_0 ... x_N``
the inputs are ``x_0 ... x_{N-1}``, and ``x_1 ... x_N`` are wanted: two views of one array. Each token but the first is asked
for once; the last that a window is asked for is the first that the next one reads.
"""

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Literal

import numpy as np

from attention.data.contracts import ELSEWHERE, Encoded
from attention.data.segments import restarted

Windows = Literal["stream", "packed", "documents"]


def check(windows: str, length: int, stride: int) -> None:
    """Raises ValueError for rows that cannot be cut."""
    if not 0 <= stride <= length:
        raise ValueError(f"stride wants 0 (side by side) to the window of {length} tokens, got {stride}")
    if windows == "packed" and stride not in (0, length):
        raise ValueError("windows=packed has its windows side by side: stride wants 0, or give windows=documents")


def described(windows: str, length: int, stride: int) -> str:
    """What a token of an evaluation has before it, in words."""
    within = {"stream": "", "packed": " of its document", "documents": " of its document"}[windows]
    if stride in (0, length):
        return f"windows of {length} tokens side by side: a token is told from the 1 to {length} before it{within}"
    context = f"{length - stride + 1} to {length}" if stride > 1 else str(length)
    told = f"a token is told from the {context} before it{within}, where so many stand before it"
    return f"windows of {length} tokens at a stride of {stride}: {told}"


def begun(texts: Sequence[np.ndarray], begins: np.ndarray, end: int) -> tuple[np.ndarray, np.ndarray]:
    """The ids of texts end to end, ``end`` before each that begins a document.

    Returns:
      The ids, and where among them each document begins.

    Example:
      >>> begun([np.array([3, 4]), np.array([5])], np.array([True, True]), end=9)
      (array([9, 3, 4, 9, 5]), array([0, 3]))
    """
    one = np.array([end])
    ids = np.concatenate([part for ids, first in zip(texts, begins) for part in ((one, ids) if first else (ids,))])
    lengths = np.array([len(ids) for ids in texts], np.int64) + begins
    return ids, (np.cumsum(lengths) - lengths)[begins]


def rows(encoded: Encoded, *, length: int, windows: Windows, stride: int = 0, train: bool = False) -> Encoded:
    """The windows of documents, which stand as ``begun`` puts them, with an end.

    Args:
      encoded: the documents.
      length: T, tokens of a window.
      windows: "stream", through all documents; "packed", whole documents, several in a window as far as they fit, each with a
        segment and positions of its own; "documents", each alone. Documents longer than T are cut.
      stride: tokens that a window asks for, with those before them as context; 0 for T: windows side by side.
      train: whether the windows are trained on: side by side, those of a stream anew in each epoch.

    Raises:
      ValueError: for a stream to be trained on that is shorter than a window, and for what ``check`` refuses.
    """
    check(windows, length, stride)
    bounds = encoded.offsets
    if windows == "stream":
        if train:
            return _trained(encoded, length)
        bounds = bounds[[0, -1]]
    if stride not in (0, length) and not train:
        return _sliding(encoded, bounds, length, stride)
    cuts = np.concatenate(
        [[0], *(np.append(np.arange(a + length, b, length), b) for a, b in itertools.pairwise(bounds.tolist()))]
    )
    if windows != "packed":
        return _cut(encoded, cuts.astype(np.int64))
    packed = _cut(encoded, _packed(cuts.astype(np.int64), length))
    numbers = np.zeros(len(encoded.flat), np.int32)
    numbers[cuts[1:-1]] = 1  # pieces of documents
    numbers = np.cumsum(numbers, dtype=np.int32)
    segments = numbers - np.repeat(numbers[packed.offsets[:-1]], packed.lengths)
    return dataclasses.replace(packed, segments=segments, positions=restarted(segments, packed.offsets))


def without_ends(encoded: Encoded, end: int) -> Encoded:
    """The rows of documents, none of which is asked for the id that ends it."""
    assert encoded.wanted is not None
    assert encoded.documents is not None
    ends = encoded.wanted == end
    before = np.concatenate([[0], np.cumsum(ends[encoded.wanted != ELSEWHERE])])
    wanted = np.where(ends, np.int32(ELSEWHERE), encoded.wanted)
    return dataclasses.replace(encoded, wanted=wanted, documents=encoded.documents - before[encoded.documents])


def _cut(encoded: Encoded, offsets: np.ndarray) -> Encoded:
    """The tokens in rows that begin at ``offsets``."""
    labels = np.full(len(offsets) - 1, -1, np.int32)
    return dataclasses.replace(encoded, offsets=offsets, labels=labels, documents=encoded.offsets, truncated=None)


def _trained(encoded: Encoded, length: int) -> Encoded:
    """As many whole windows as there are wherever the first of them begins."""
    total = len(encoded.flat)
    if total < length:
        raise ValueError(f"train has {total} tokens, fewer than a window of config.data.max_length={length}")
    count = max(1, (total - length + 1) // length)
    cut = _cut(encoded, np.arange(count + 1, dtype=np.int64) * length)
    return dataclasses.replace(cut, slack=min(length - 1, total - count * length))


def _sliding(encoded: Encoded, bounds: np.ndarray, length: int, stride: int) -> Encoded:
    """Windows of which each but the first of a document asks for its last ``stride`` tokens, and has the others as context."""
    assert encoded.wanted is not None
    starts, ends, firsts = [], [], []  # of the tokens of a window, and the first that is asked for
    for a, b in itertools.pairwise(bounds.tolist()):
        edges = np.append(np.arange(a + length, b, stride), b)
        ends.append(edges)
        starts.append(np.maximum(edges - length, a))
        firsts.append(np.append(a, edges[:-1]))
    start, end, first = (np.concatenate(each) for each in (starts, ends, firsts))
    offsets = np.concatenate([[0], np.cumsum(end - start)])
    taken = np.arange(offsets[-1]) + np.repeat(start - offsets[:-1], end - start)
    wanted = np.where(taken >= np.repeat(first, end - start), encoded.wanted[taken], np.int32(ELSEWHERE))
    return dataclasses.replace(_cut(encoded, offsets), flat=encoded.flat[taken], wanted=wanted)


def _packed(cuts: np.ndarray, length: int) -> np.ndarray:
    """Where rows begin that take one piece after the other as long as they fit, of pieces between ``cuts``."""
    offsets, first = [0], 0
    while first < len(cuts) - 1:
        first = int(np.searchsorted(cuts, cuts[first] + length, side="right")) - 1
        offsets.append(int(cuts[first]))
    return np.array(offsets, np.int64)
