"""What the sources share that say what is right at places of a text: sizes, lengths, splits and common rules.

A text is words with single blanks between them, and what is wanted of it has a word for each of its words, ``_`` where nothing
is asked. A source is made anew each time, which takes less than reading it would. For ``train``, ``validation`` and ``test`` a
length is drawn first, each from ``min_length`` to ``max_length`` as likely; in ``lengths`` they are spread evenly and go on to
``test_length``. Splits have streams of their own: another size of one changes no other.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from attention.data.contracts import LENGTHS, NOTHING, Corpus, Rule, Source, Split
from attention.data.sources import _splits
from attention.data.sources._lengths import Draws, Sizes, check, longest, spread

_BLOCK = 2**20  # words that are joined at a time
_WORDS = 1_000_000  # that can be told apart


class Rows(NamedTuple):
    """Texts as numbers of words, int64 ``[n T]``, -1 after the end of each; and those wanted, -1 where nothing is asked."""

    tokens: np.ndarray
    wanted: np.ndarray


class Asked(NamedTuple):
    """A task whose texts are asked at some places.

    Attributes:
      name: of the source.
      words: what the numbers of ``Rows`` mean.
      draw: ``(rng, lengths [n]) -> Rows``.
      size: (length) -> how many words the text of a length has.
      rules: what a model has to beat.
      classes: what can be wanted, where it is not any word.
      step: between one length and the next.
      probes: draws of further splits, of the size and lengths of ``test``, by the names of the splits.
      options: of the source beside its sizes.
    """

    name: str
    words: Sequence[str]
    draw: Callable[[Draws, np.ndarray], Rows]
    size: Callable[[int], int]
    rules: tuple[Rule, ...]
    classes: tuple[str, ...] = ()
    step: int = 1
    probes: dict[str, Callable[[Draws, np.ndarray], Rows]] = {}  # noqa: RUF012 (never changed)
    options: dict[str, Any] = {}  # noqa: RUF012 (never changed)


def source(task: Asked, sizes: Sizes, **spelled: Any) -> Source:
    """The source of a task.

    Args:
      task: its options are in range.
      sizes: checked here.
      spelled: the options of lengths as the source has them, where they are not those of ``sizes``.

    Raises:
      ValueError: for a size out of range.
    """
    check(sizes, 1)
    counts = {name: getattr(sizes, name) for name in ("train", "validation", "test", LENGTHS)}
    lengths = spelled or {name: getattr(sizes, name) for name in ("min_length", "max_length")}
    resolved = _splits.resolved(task.name, **counts, **lengths, test_length=sizes.test_length, **task.options)

    def load(seed: int) -> Corpus:
        draws, splits = dict.fromkeys(counts, task.draw) | task.probes, {}
        for stream, (name, draw) in enumerate(draws.items()):
            rng, count = Draws(seed, _splits.ASKED_STREAM, stream), counts.get(name, sizes.test)
            if count:
                splits[name] = _split(draw(rng, _lengths(task, sizes, name, count, rng)), task.words)
        trained = max(map(task.size, range(sizes.min_length, sizes.max_length + 1, task.step)))
        return Corpus(splits, task.classes, (), resolved, trained if sizes.lengths else None)

    return Source(load, task.rules)


def check_words(option: str, count: int, least: int) -> None:
    """Raises ValueError for a number of different words out of range."""
    if not least <= count <= _WORDS:
        raise ValueError(f"{option} must be {least} to {_WORDS}, got {count}")


def _lengths(task: Asked, sizes: Sizes, name: str, count: int, rng: Draws) -> np.ndarray:
    """The lengths of the texts of a split."""
    if name == LENGTHS:
        return spread(np.arange(sizes.min_length, longest(sizes) + 1, task.step), count)
    known = np.arange(sizes.min_length, sizes.max_length + 1, task.step)
    return known[rng.below(len(known), count)]


def _split(rows: Rows, words: Sequence[str]) -> Split:
    ends = (rows.tokens >= 0).sum(axis=1).tolist()
    return Split(lines(rows.tokens, words, ends), None, None, lines(rows.wanted, words, ends))


def lines(tokens: np.ndarray, words: Sequence[str], ends: Sequence[int]) -> list[str]:
    """Words of the numbers ``[n T]``, joined up to each end; -1 is ``_``."""
    known, height = np.array([*words, NOTHING], object), max(1, _BLOCK // tokens.shape[1])
    starts = range(0, len(tokens), height)
    parts = (known[tokens[start : start + height]].tolist() for start in starts)
    return [" ".join(row[:end]) for row, end in zip((row for part in parts for row in part), ends)]


def distinct(rng: Draws, bound: int, count: int, width: int) -> np.ndarray:
    """``width`` different numbers below ``bound`` in each of ``count`` rows, each choice and order as likely.

    Few of many are chosen by Floyd's algorithm, one column after the other, and their order is drawn after that.
    """
    if width**2 > 16 * bound:  # where all in a random order are less work
        return shuffles(rng, count, bound)[:, :width]
    chosen = np.full((count, width), -1, np.int64)
    for column in range(width):
        most = bound - width + column
        drawn = rng.below(most + 1, count)
        taken = (chosen == drawn[:, None]).any(axis=1)
        chosen[:, column] = np.where(taken, most, drawn)
    return np.take_along_axis(chosen, shuffles(rng, count, width), axis=1)


def shuffles(rng: Draws, count: int, width: int) -> np.ndarray:
    """A permutation of ``width`` numbers in each of ``count`` rows."""
    return np.argsort(rng.below(2**31, count, width), axis=1, kind="stable")


def by_length(lengths: np.ndarray, made: Callable[[int, int], Rows]) -> Rows:
    """The rows of all lengths, by ``(length, how many) -> Rows`` of one length, in the order of ``lengths``."""
    parts = {length: made(length, int((lengths == length).sum())) for length in np.unique(lengths).tolist()}
    width = max(part.tokens.shape[1] for part in parts.values())
    whole = Rows(*(np.full((len(lengths), width), -1, np.int64) for _ in Rows._fields))
    for length, part in parts.items():
        for array, filled in zip(whole, part):
            array[lengths == length, : filled.shape[1]] = filled
    return whole
