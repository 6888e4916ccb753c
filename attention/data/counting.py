"""The tokens of very many texts counted and numbered in one go, so that these are taken apart once."""

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from attention import specs
from attention.data import workers
from attention.data.contracts import UNKNOWN
from attention.data.texts import FileTexts, Kept, aside, writable

_REMEMBERED = 2**18  # parts


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
    """The number of each string, given in the order of their first places; ``new`` are those since it was last emptied."""

    def __init__(self):
        super().__init__()
        self.new: list[str] = []

    def __missing__(self, string: str) -> int:
        self[string] = number = len(self)
        self.new.append(string)
        return number

    def of(self, strings: Iterable[str], count: int) -> np.ndarray:
        """The numbers of so many strings."""
        return np.fromiter(map(self.__getitem__, strings), np.int64, count)

    def taken(self) -> list[str]:
        """The new ones, which are new no more."""
        new, self.new = self.new, []
        return new


class _Parts:
    """The tokens of parts of texts, sought once for each distinct one of the last ``_REMEMBERED``.

    Args:
      pieces: of the tokenizer.
      tokens: the numbers of all tokens.
    """

    def __init__(self, pieces: Callable[[str], Sequence[str]], tokens: _Numbers):
        self._pieces, self._tokens = pieces, tokens
        self._forget()

    def _forget(self) -> None:
        self._numbers = _Numbers()
        self._ids, self._begins = np.zeros(0, np.int64), np.zeros(1, np.int64)  # those of part i from begins[i] on

    def of(self, parts: Iterable[str], count: int) -> tuple[np.ndarray, np.ndarray]:
        """The numbers of the tokens of so many parts, end to end, and how many each has."""
        which = self._numbers.of(parts, count)
        found = [self._pieces(part) for part in self._numbers.taken()]
        ids = self._tokens.of(itertools.chain.from_iterable(found), sum(map(len, found)))
        ends = self._begins[-1] + np.cumsum(np.fromiter(map(len, found), np.int64, len(found)))
        self._ids, self._begins = np.concatenate([self._ids, ids]), np.concatenate([self._begins, ends])
        lengths = np.diff(self._begins)[which]
        shift = self._begins[which] - (np.cumsum(lengths) - lengths)
        taken = self._ids[np.repeat(shift, lengths) + np.arange(lengths.sum())]
        if len(self._numbers) > _REMEMBERED:
            self._forget()
        return taken, lengths


def numbering(spec: str) -> workers.Work:
    """The work of ``Numbered``: the numbers of the tokens of texts, how many each has, and the tokens that are new."""
    tokenizer, tokens = specs.build("tokenizer", spec), _Numbers()
    known = _Parts(tokenizer.pieces, tokens)

    def work(first: int, texts: list[str]) -> tuple[dict[str, Any], list[np.ndarray]]:
        found = [tokenizer.parts(text) for text in texts]
        counts = np.fromiter(map(len, found), np.int64, len(found))
        ids, of_parts = known.of(itertools.chain.from_iterable(found), int(counts.sum()))
        ends = np.concatenate([[0], np.cumsum(of_parts)])[np.cumsum(counts)]
        lengths = np.diff(ends, prepend=0)
        return {"new": tokens.taken()}, [ids.astype(np.min_scalar_type(max(len(tokens) - 1, 0))), lengths]

    return work
