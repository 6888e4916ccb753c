"""Keys of several words with values of several words, of which some are asked for at the end. For ``task=lm``.

Multi-query multi-token associative recall, from "Long-Context Generalization with Sparse Attention" (Vasylenko et al. 2025,
arXiv 2506.16640), as in the authors' code. A text is the pairs with blanks around them, the keys that are asked for, and their
values::

  bos . 7 2 : 4 4 . . . 1 9 : 0 3 . ? 1 9 ? 7 2 sep ? 0 3 ? 4 4

What is wanted from ``sep`` on is the next word, and ``eos`` at the last; a text is right where all of it is. Keys are of
``key`` words and values of ``value``, from an alphabet of ``symbols``; each split has ``vocabulary`` of each, and a text has
different ones. Of the length of the pairs four fifths are filled: a pair takes ``key + value + 2`` words, at most
``vocabulary`` pairs are there, and each has an equal part of the length in which it stands anywhere, the middle being
likelier. ``queries`` of them are asked for, each as likely each time. Numbers of the code's words are written ``.`` (0), ``:``
(1) and ``?`` (2) here.

The paper trains on 50 million texts of 32 to 64 words before the questions, with 10,000 keys and values, and asks for exact
match of those of 64 to 65,536.
"""

import math
from typing import NamedTuple

import numpy as np

from attention.data.contracts import Source
from attention.data.rules import MOST_WANTED, at_places
from attention.data.sources import _asked
from attention.data.sources._answers import MARKS, joined
from attention.data.sources._lengths import Draws, Sizes

_FILLED = 0.8
_BITS = 31  # of the number of keys or values that can be drawn from
_SIGNS = (".", ":", "?")  # the first three words
_BLANK, _COLON, _QUERY = range(len(_SIGNS))


class _Shape(NamedTuple):
    """The options that are no sizes, and the draws of them."""

    key: int
    value: int
    queries: int
    symbols: int
    vocabulary: int

    def check(self, shortest: int) -> None:
        """Raises ValueError for an option out of range."""
        _asked.check_words("symbols", self.symbols, 2)
        for name, least in (("key", 1), ("value", 1), ("queries", 1), ("vocabulary", self.queries)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, got {getattr(self, name)}")
        if max(self.key, self.value) * math.log2(self.symbols) > _BITS:
            raise ValueError(
                f"{self.symbols} symbols make more than {2**_BITS} keys or values: want fewer symbols, or shorter ones"
            )
        if self.vocabulary > (most := self.symbols ** min(self.key, self.value)):
            raise ValueError(f"vocabulary must be at most {most}, all that {self.symbols} symbols make, got {self.vocabulary}")
        if self.pairs(shortest) < self.queries:
            least = math.ceil(self.queries * self.unit / _FILLED)
            raise ValueError(f"min_length must be at least {least}, to have {self.queries} pairs, got {shortest}")

    @property
    def unit(self) -> int:
        """Words of a pair, with the colon and the blank behind it."""
        return self.key + self.value + 2

    def pairs(self, length: int) -> int:
        """How many pairs a text has."""
        return min(int(length * _FILLED // self.unit), self.vocabulary)

    def size(self, length: int) -> int:
        """Words of a text of that length."""
        pairs = self.pairs(length)
        return pairs * (length // pairs) + self.queries * (self.key + self.value + 2) + 2

    def draw(self, rng: Draws, lengths: np.ndarray) -> _asked.Rows:
        """The texts of a split, with keys and values of its own."""
        known = [self._made(rng, width) for width in (self.key, self.value)]
        return _asked.by_length(lengths, lambda length, count: self._of_length(rng, length, count, *known))

    def _made(self, rng: Draws, width: int) -> np.ndarray:
        """All keys or values there are, ``[vocabulary width]``."""
        found: dict[int, None] = {}
        while len(found) < self.vocabulary:
            found |= dict.fromkeys(rng.below(self.symbols**width, self.vocabulary).tolist())
        numbers, places = np.array([*found][: self.vocabulary]), self.symbols ** np.arange(width)
        return len(_SIGNS) + numbers[:, None] // places % self.symbols

    def _of_length(self, rng: Draws, length: int, count: int, keys: np.ndarray, values: np.ndarray) -> _asked.Rows:
        """Texts of one length: pairs, each in its part of it, questions and answers."""
        pairs = self.pairs(length)
        key, value = (known[_asked.distinct(rng, self.vocabulary, count, pairs)] for known in (keys, values))
        part = length // pairs
        text = np.full((count, pairs, part), _BLANK)
        before = self._before(rng, count * pairs, part).reshape(count, pairs, 1)
        colon = np.full((count, pairs, 1), _COLON)
        pair = np.concatenate([key, colon, value], axis=2)
        np.put_along_axis(text, before + np.arange(pair.shape[2]), pair, axis=2)
        chosen = rng.below(pairs, count, self.queries)[:, :, None]
        mark = np.full((count, self.queries, 1), _QUERY)
        asked, told = (
            np.concatenate([mark, np.take_along_axis(known, chosen, axis=1)], axis=2).reshape(count, -1)
            for known in (key, value)
        )
        words = len(_SIGNS) + self.symbols + len(MARKS)
        return joined(np.concatenate([text.reshape(count, -1), asked], axis=1), told, words)

    def _before(self, rng: Draws, count: int, part: int) -> np.ndarray:
        """How many blanks stand before each pair in its part.

        A pair lies in the middle of more than twice as many blanks as its part has room for, and those that stay are drawn.
        """
        whole = 2 * (part + 1)
        ahead = whole // 2 - (self.unit - 1) // 2
        stay = _asked.shuffles(rng, count, whole - self.unit)[:, : part - self.unit]
        return (stay < ahead).sum(axis=1)


def _first_value(words: list[str], value: int) -> list[str]:
    """The value of the first pair at every question, with the marks in their places."""
    if not {":", "sep"} <= {*words}:
        return words
    colon, asked = words.index(":"), words.index("sep")
    once = ["?", *words[colon + 1 : colon + 1 + value]]
    told = (once * len(words))[: len(words) - asked - 1]
    return [*words[:asked], *told, "eos"]


def build(
    train: int = 100_000,
    validation: int = 1_000,
    test: int = 1_000,
    lengths: int = 500,
    min_length: int = 32,
    max_length: int = 64,
    test_length: int | None = None,
    key: int = 2,
    value: int = 2,
    queries: int = 4,
    symbols: int = 256,
    vocabulary: int = 10_000,
) -> Source:
    """Lengths are those of the pairs; of each text one is drawn first. Made anew each time.

    Args:
      train: examples, at least 1.
      validation: at least 1.
      test: of the lengths of train, at least 1.
      lengths: examples of the split ``lengths``, whose lengths go on to ``test_length``; 0 for no such split.
      min_length: words of the pairs and of the blanks around them, enough for as many pairs as queries.
      max_length: of train, validation and test, at least ``min_length``.
      test_length: of ``lengths``, at least ``max_length``; None for five times that.
      key: words of a key, at least 1.
      value: words of a value, at least 1.
      queries: keys that are asked for, at least 1.
      symbols: words that keys and values are made of, 2 to 1,000,000.
      vocabulary: keys and values there are, at least ``queries``; no more than can be made of ``symbols``.

    Raises:
      ValueError: for an option out of range.
    """
    shape = _Shape(key, value, queries, symbols, vocabulary)
    shape.check(min_length)
    words = (*_SIGNS, *map(str, range(symbols)), *MARKS)
    task = _asked.Asked(
        name="mqmtar",
        words=words,
        draw=shape.draw,
        size=shape.size,
        rules=(MOST_WANTED, at_places("the_first_value", lambda words: _first_value(words, value))),
        options=shape._asdict(),
    )
    return _asked.source(task, Sizes(train, validation, test, lengths, min_length, max_length, test_length))
