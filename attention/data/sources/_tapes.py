"""What the string tasks of the Chomsky-hierarchy suite share: a string, then a tape of empty places to write another on.

From "Neural Networks and the Chomsky Hierarchy" (Delétang et al. 2022, arXiv 2207.02098), in the form of the authors' code: a
text is the symbols of the string, with blanks between them, and a dot for each symbol of the output. At each dot the symbol
that stands there in the output is wanted, all at once, so that a model of ``task=tagging`` reads and writes in one pass::

  0 1 1 . . .    with the output 1 1 0
  _ _ _ 1 1 0

Where outputs are of many lengths, there are as many dots as the longest needs, and ``end`` is wanted behind the output. What
stands behind that is not asked; the paper asks for zeros there in training and leaves them out of the score. The paper trains
on lengths of 1 to 40 of the string, each as likely, and its score is the accuracy at the dots, averaged over the lengths 41 to
500: here those of ``lengths`` to 200, without the first 40.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from attention.data.contracts import Source
from attention.data.rules import MOST_WANTED, at_places
from attention.data.sources import _asked
from attention.data.sources._lengths import Draws, Sizes, uniform

END = "end"
_DOT = "."


class Strings(NamedTuple):
    """Strings and their outputs as numbers ``[n T]`` and ``[n U]``, -1 after the end of each, in the words of a ``Tape``."""

    read: np.ndarray
    written: np.ndarray


class Tape(NamedTuple):
    """A task.

    Attributes:
      name: of the source.
      symbols: of the strings.
      draw: ``(rng, lengths [n]) -> Strings``; outputs without ``END``, their numbers index ``symbols``.
      room: (length) -> how many dots there are.
      outputs: how many of the first symbols there are in outputs.
      ended: whether ``END`` is wanted behind an output.
    """

    name: str
    symbols: tuple[str, ...]
    draw: Callable[[Draws, np.ndarray], Strings]
    room: Callable[[np.ndarray], np.ndarray]
    outputs: int
    ended: bool = False


def _source(tape: Tape, sizes: Sizes) -> Source:
    words = (*tape.symbols, _DOT, END)
    task = _asked.Asked(
        name=tape.name,
        words=words,
        draw=lambda rng, lengths: _rows(tape, rng, lengths),
        size=lambda length: length + int(tape.room(np.array(length))),
        rules=(MOST_WANTED, at_places("the_same_place", _same_place)),
        classes=(*tape.symbols[: tape.outputs], *([END] if tape.ended else [])),
    )
    return _asked.source(task, sizes)


def _rows(tape: Tape, rng: Draws, lengths: np.ndarray) -> _asked.Rows:
    """The strings with their tapes."""
    read, written = tape.draw(rng, lengths)
    dot, end = len(tape.symbols), len(tape.symbols) + 1
    room = tape.room(lengths)
    place = np.arange(int((lengths + room).max()))
    tokens, wanted = np.full((2, len(lengths), len(place)), -1, np.int64)
    tokens[:, : read.shape[1]] = read
    tokens[(place >= lengths[:, None]) & (place < (lengths + room)[:, None])] = dot
    row, at = np.nonzero(written >= 0)
    wanted[row, lengths[row] + at] = written[row, at]
    if tape.ended:
        wanted[np.arange(len(lengths)), lengths + (written >= 0).sum(axis=1)] = end
    return _asked.Rows(tokens, wanted)


def _same_place(words: list[str]) -> list[str]:
    """At each dot the symbol that stands there in the string, its last one where the string has ended."""
    ahead = words.index(_DOT) if _DOT in words else 0
    return [*words[:ahead], *words[:ahead], *words[ahead - 1 : ahead] * len(words)][: len(words)]


def builder(tape: Tape) -> Callable[..., Source]:
    """The ``build`` of a task."""

    def build(
        train: int = 50_000,
        validation: int = 1_000,
        test: int = 1_000,
        lengths: int = 2_000,
        min_length: int = 1,
        max_length: int = 40,
        test_length: int | None = None,
    ) -> Source:
        """Lengths are those of the string. Made anew each time.

        Args:
          train: examples, at least 1.
          validation: at least 1.
          test: of the lengths of train, at least 1.
          lengths: examples of the split ``lengths``, whose lengths go on to ``test_length``; 0 for no such split.
          min_length: symbols of a string, at least 1.
          max_length: of train, validation and test, at least ``min_length``.
          test_length: of ``lengths``, at least ``max_length``; None for five times that.

        Raises:
          ValueError: for a size out of range.
        """
        return _source(tape, Sizes(train, validation, test, lengths, min_length, max_length, test_length))

    return build


def of_symbols(
    name: str, count: int, rule: Callable[[np.ndarray, np.ndarray], np.ndarray], times: int = 1
) -> Callable[..., Source]:
    """The ``build`` of a task on strings of ``count`` symbols, each as likely.

    Args:
      name: of the source.
      count: how many different symbols there are.
      rule: strings ``[n T]``, -1 after the end, and their lengths ``[n]``, to their outputs ``[n U]``.
      times: how many times as long as the string the output is.
    """

    def draw(rng: Draws, lengths: np.ndarray) -> Strings:
        read = uniform(rng, count, lengths)
        return Strings(read, rule(read, lengths[:, None]))

    return builder(Tape(name, tuple(map(str, range(count))), draw, lambda length: times * length, count))


def gathered(read: np.ndarray, places: np.ndarray) -> np.ndarray:
    """The symbols of strings ``[n T]`` that stand at ``places``, ``[n U]``; -1 where a place is -1."""
    return np.where(places < 0, -1, np.take_along_axis(read, np.maximum(places, 0), axis=1))
