"""The tokens of very many texts counted and numbered in one go, so that these are taken apart once."""

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from attention import specs
from attention.data import workers
from attention.data.contracts import UNKNOWN
from attention.data.texts import FileTexts, Kept, aside, writable


class _Part(NamedTuple):
    """Numbers of the tokens of some texts: where they stand, what they are, and the process that gave them."""

    start: int
    stop: int
    dtype: np.dtype
    by: int
    lengths: np.ndarray


class Numbered:
    """The tokens of texts, by numbers that each process gave on its own, in a file; and how often each is there.

    Args:
      texts: in files.
      tokenizer: spec of one with ``pieces``.
    """

    def __init__(self, texts: FileTexts, tokenizer: str):
        self._kept: Kept = aside()
        self._parts: list[_Part] = []
        self._tokens: dict[int, list[str]] = {}
        self._counts: dict[int, np.ndarray] = {}
        for done in workers.each(texts, "counting tokens", "attention.data.counting:numbering", {"spec": tokenizer}):
            ids, lengths = done.arrays
            tokens = self._tokens.setdefault(done.by, [])
            tokens += done.told["new"]
            found = np.bincount(ids, minlength=len(tokens))
            before = self._counts.get(done.by, np.zeros(0, np.int64))
            found[: len(before)] += before
            self._counts[done.by] = found
            start = int(self._kept.borders[-1])
            with writable():
                self._kept.append(ids.tobytes())
            self._parts.append(_Part(start, start + ids.nbytes, ids.dtype, done.by, lengths))

    def counts(self) -> Counter[str]:
        """How often each token is there."""
        counted: Counter[str] = Counter()
        for by, tokens in self._tokens.items():
            counted.update(dict(zip(tokens, self._counts[by].tolist())))
        return counted

    def ids(self, state: Mapping[str, int]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """The ids of some texts after the other, end to end, and how many each has."""
        known = {by: np.array([state.get(token, UNKNOWN) for token in tokens], np.int32) for by, tokens in self._tokens.items()}
        for part in self._parts:
            numbers = np.frombuffer(self._kept.read(part.start, part.stop), part.dtype)
            yield known[part.by][numbers], part.lengths


class _Numbers(dict[str, int]):
    """The number of each token, given in the order of their first places."""

    def __init__(self):
        super().__init__()
        self.new: list[str] = []

    def __missing__(self, token: str) -> int:
        self[token] = number = len(self)
        self.new.append(token)
        return number


def numbering(spec: str) -> workers.Work:
    """The work of ``Numbered``: the numbers of the tokens of texts, how many each has, and the tokens that are new."""
    pieces, numbers = specs.build("tokenizer", spec).pieces, _Numbers()

    def work(first: int, texts: list[str]) -> tuple[dict[str, Any], list[np.ndarray]]:
        found = [pieces(text) for text in texts]
        lengths = np.fromiter(map(len, found), np.int64, len(found))
        tokens = itertools.chain.from_iterable(found)
        ids = np.fromiter(map(numbers.__getitem__, tokens), np.int64, int(lengths.sum()))
        new, numbers.new = numbers.new, []
        return {"new": new}, [ids.astype(np.min_scalar_type(max(len(numbers) - 1, 0))), lengths]

    return work
