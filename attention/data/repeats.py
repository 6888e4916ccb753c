"""Texts that are the same but for letter case and runs of whitespace, known by hashes of what they have in common."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from attention.data import workers
from attention.data.texts import FileTexts, in_file

LONG = 20  # characters of a line that two texts do not share by chance


def normal_form(text: str) -> str:
    """What texts that count as the same have in common."""
    return " ".join(text.lower().split())


def digests(texts: Sequence[str]) -> np.ndarray:
    """A number of 128 bits for each text, uint64 ``[n 2]``, the same for texts that count as the same."""
    if not isinstance(texts, FileTexts):
        return _digests(texts)
    found = texts.digests
    if found is None:
        many = in_file(texts)
        found = _digests(texts) if many is None else np.concatenate([*_of_parts(many)])
        texts.digests = found
    return found


def _of_parts(texts: FileTexts) -> Iterator[np.ndarray]:
    for done in workers.each(texts, "comparing texts", "attention.data.repeats:digesting", {}):
        yield done.arrays[0].reshape(-1, 2)


def digesting() -> workers.Work:
    """``digests`` of some texts."""
    return lambda first, texts: ({}, [_digests(texts)])


def _digests(texts: Iterable[str]) -> np.ndarray:
    of = lambda text: hashlib.blake2b(normal_form(text).encode("utf-8", "surrogatepass"), digest_size=16).digest()
    return np.frombuffer(b"".join(map(of, texts)), np.uint64).reshape(-1, 2)


def seen_before(texts: Sequence[str], earlier: Sequence[str]) -> np.ndarray:
    """Which ``texts`` also occur among the ``earlier`` ones, letter case and runs of whitespace aside: bool ``[n]``."""
    return np.isin(digests(texts)[:, 0], digests(earlier)[:, 0])  # of very many 64 bits are all there is room for


def lines_before(texts: Iterable[str], earlier: Iterable[str]) -> tuple[int, int]:
    """How many lines of ``LONG`` characters or more of some blocks of text also occur in earlier ones, and how many there are.

    Lines count as the same as texts do. Only hashes of those of ``texts`` are held.
    """
    own = np.fromiter(_lines(texts), np.int64)
    among = set(own.tolist())
    found = {line for line in _lines(earlier) if line in among}
    return int(np.isin(own, np.fromiter(found, np.int64, len(found))).sum()), len(own)


def _lines(blocks: Iterable[str]) -> Iterator[int]:
    """A number for each line that is long enough to be no coincidence, good within a process."""
    for block in blocks:
        yield from (hash(line) for line in map(normal_form, block.split("\n")) if len(line) >= LONG)


def together(texts: Sequence[str]) -> "Together":
    """Which texts are the same."""
    if not isinstance(texts, FileTexts):
        return Together(texts)
    texts.together = texts.together or Together(texts)
    return texts.together


class Together:
    """The rows of each distinct text: ``rows[begins[i]:begins[i + 1]]``, rising, the distinct texts in the order of the first.

    Attributes:
      rows: int64 ``[n]``.
      begins: int64 ``[distinct + 1]``.
    """

    def __init__(self, texts: Sequence[str]):
        known = digests(texts)
        order = np.lexsort((known[:, 1], known[:, 0]))  # stable: the rows of a text rise
        new = np.ones(len(order), bool)
        new[1:] = (known[order[1:]] != known[order[:-1]]).any(axis=1)
        first = np.empty(len(order), np.int64)
        first[order] = order[new][np.cumsum(new) - 1]
        self.rows = np.argsort(first, kind="stable")
        self.begins = np.append(np.flatnonzero(np.diff(first[self.rows], prepend=-1)), len(order))

    def __len__(self) -> int:
        return len(self.begins) - 1

    def __getitem__(self, number: int) -> np.ndarray:
        return self.rows[self.begins[number] : self.begins[number + 1]]

    @property
    def firsts(self) -> np.ndarray:
        """The first row of each."""
        return self.rows[self.begins[:-1]]

    @property
    def sizes(self) -> np.ndarray:
        """How many rows each has."""
        return np.diff(self.begins)

    def told_several(self, labels: Sequence[Any]) -> list[np.ndarray]:
        """The rows of those of which several things are told."""
        groups = (self[number] for number in np.flatnonzero(self.sizes > 1).tolist())
        return [group for group in groups if len({labels[row] for row in group.tolist()}) > 1]
