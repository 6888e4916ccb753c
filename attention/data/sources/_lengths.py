"""What the sources share whose texts are drawn at given lengths, some longer than any of training.

A text is symbols with single blanks between them. For ``train``, ``validation`` and ``test`` its length is drawn first, each
that the task allows from ``min_length`` to ``max_length`` as likely, then the text by the task's own process. Of short texts
there are few, so the splits share some; the report of the data says how many. In ``lengths`` the lengths are spread evenly
from ``min_length`` to ``test_length``. Splits have streams of their own: another size of one changes no other.
"""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from attention.data import paths
from attention.data.contracts import LENGTHS, Corpus, Rule, Source
from attention.data.rules import MAJORITY, by_word, nothing
from attention.data.sources import _splits

CHOMSKY = "https://arxiv.org/abs/2207.02098"
MOST = 2**29  # symbols of a split, which take 8 bytes each while they are drawn
BEYOND = 5  # times max_length: how long texts of `lengths` get where test_length is not given


class Draws:
    """Random numbers of a stream of a seed, the same on every platform and NumPy version."""

    def __init__(self, seed: int, *stream: int):
        self._bits = _splits.draws(seed, *stream)

    def below(self, bound: int | np.ndarray, *shape: int) -> np.ndarray:
        """Whole numbers from 0 to ``bound`` - 1, int64 of ``shape``; ``bound``, below 2³², may be an array that broadcasts.

        They are as likely to within ``bound`` / 2³².
        """
        raw = self._bits.random_raw(math.prod(shape)).reshape(shape) >> np.uint64(32)
        return ((raw * np.asarray(bound).astype(np.uint64)) >> np.uint64(32)).astype(np.int64)


class Task(NamedTuple):
    """What a task is.

    Attributes:
      name: of the source.
      classes: names of the labels.
      alphabet: the symbols, one character each.
      draw: ``(rng, lengths [n]) -> (tokens [n T], labels [n])``, int64; tokens index the alphabet, -1 after the end of a text.
      shortest, step: the task has the lengths ``shortest``, ``shortest + step``, ``shortest + 2 step``, ...
      bag: the best guess from the counts of the symbols, ``[n symbols] -> [n]``; None where there is no simple rule.
      options: of the source beside those that all tasks have.
      homepage: where it is from.
    """

    name: str
    classes: tuple[str, ...]
    alphabet: str
    draw: Callable[[Draws, np.ndarray], tuple[np.ndarray, np.ndarray]]
    shortest: int = 1
    step: int = 1
    bag: Callable[[np.ndarray], np.ndarray] | None = None
    options: dict[str, Any] = {}  # noqa: RUF012 (never changed)
    homepage: str = ""


class Sizes(NamedTuple):
    """How many texts, and how long; see ``builder``."""

    train: int
    validation: int
    test: int
    lengths: int
    min_length: int
    max_length: int
    test_length: int | None


def builder(task: Task) -> Callable[..., Source]:
    """The ``build`` of a task."""

    def build(
        train: int = 50_000,
        validation: int = 1_000,
        test: int = 1_000,
        lengths: int = 2_000,
        min_length: int = task.shortest,
        max_length: int = 40,
        test_length: int | None = None,
        data_dir: str | None = None,
    ) -> Source:
        """Generated, prepared once per set of options and seed as a TFDS data set.

        Args:
          train: examples, at least 1.
          validation: at least 1.
          test: of the lengths of train, at least 1.
          lengths: examples of the split ``lengths``, whose lengths go on to ``test_length``; 0 for no such split.
          min_length: symbols of a text, at least what the task needs.
          max_length: of train, validation and test; at least ``min_length``.
          test_length: of ``lengths``, at least ``max_length``; None for five times ``max_length``.
          data_dir: where TFDS keeps its data sets; None for ``$TFDS_DATA_DIR``, else ``~/tensorflow_datasets``.

        Raises:
          ValueError: for an option out of range.
        """
        sizes = Sizes(train, validation, test, lengths, min_length, max_length, test_length)
        return source(task, sizes, data_dir)

    return build


def source(task: Task, sizes: Sizes, data_dir: str | None) -> Source:
    """The source of a task, its options checked."""
    check(sizes, task.shortest)
    if not len(allowed(task, sizes.min_length, sizes.max_length)):
        raise ValueError(
            f"{task.name} has no text of {sizes.min_length} to {sizes.max_length} symbols: its lengths are {task.shortest},"
            f" {task.shortest + task.step}, {task.shortest + 2 * task.step}, ..."
        )
    folder = None if data_dir is None else paths.expand(data_dir)
    spec = _splits.resolved(task.name, **task.options, **sizes._asdict(), data_dir=folder)
    return Source(lambda seed: _load(task, sizes, folder, seed, spec), rules(task))


def check(sizes: Sizes, shortest: int) -> None:
    """Raises ValueError for a size out of range."""
    floors = {"train": 1, "validation": 1, "test": 1, "lengths": 0, "min_length": shortest, "max_length": sizes.min_length}
    for name, floor in floors.items():
        if getattr(sizes, name) < floor:
            raise ValueError(f"{name} must be at least {floor}, got {getattr(sizes, name)}")
    if sizes.test_length is not None and sizes.test_length < sizes.max_length:
        raise ValueError(f"test_length must be at least the length of train, {sizes.max_length}, got {sizes.test_length}")
    amounts = {name: (getattr(sizes, name), sizes.max_length) for name in ("train", "validation", "test")}
    check_amount(**amounts, lengths=(sizes.lengths, longest(sizes)))


def check_amount(**splits: tuple[int, int]) -> None:
    """Raises ValueError where a split, given as its size and the length of its texts, would take more memory than there is."""
    for name, (count, length) in splits.items():
        if count * length > MOST:
            raise ValueError(f"{name} would be {count} texts of up to {length} symbols; at most {MOST} symbols are drawn")


def longest(sizes: Sizes) -> int:
    """How long the texts of ``lengths`` may get."""
    return BEYOND * sizes.max_length if sizes.test_length is None else sizes.test_length


def folder_name(sizes: Sizes, seed: int) -> str:
    """The part of a folder's name that tells sizes and seeds apart."""
    counts = f"{sizes.train}x{sizes.validation}x{sizes.test}x{sizes.lengths}"
    return f"seed{seed}-n{counts}-length{sizes.min_length}to{sizes.max_length}to{longest(sizes)}"


def allowed(task: Task, low: int, high: int) -> np.ndarray:
    """The lengths of a task from ``low`` to ``high``, rising."""
    every = np.arange(task.shortest, high + 1, task.step)
    return every[every >= low]


def spread(values: np.ndarray, count: int) -> np.ndarray:
    """``count`` of the rising ``values``, evenly: each as often as any other, to within one."""
    return values[np.arange(count) * len(values) // max(count, 1)]


def uniform(rng: Draws, symbols: int, lengths: np.ndarray) -> np.ndarray:
    """Tokens ``[n T]`` of 0 to ``symbols`` - 1, each as likely; -1 after the end."""
    tokens = rng.below(symbols, len(lengths), int(lengths.max()))
    return np.where(np.arange(tokens.shape[1]) < lengths[:, None], tokens, -1)


def two_places(rng: Draws, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two different places of each text, each pair as likely, int64 ``[n]`` twice; lengths of 2 or more."""
    first, second = rng.below(lengths, len(lengths)), rng.below(lengths - 1, len(lengths))
    return first, second + (second >= first)


def texts(tokens: np.ndarray, alphabet: str) -> list[str]:
    """The texts of tokens ``[n T]``, symbols joined by blanks."""
    symbols = np.frombuffer(alphabet.encode("ascii"), np.uint8)[tokens]
    ends = (tokens >= 0).sum(axis=1)
    return [" ".join(row[:end].tobytes().decode("ascii")) for row, end in zip(symbols, ends.tolist())]


def counts(texts: Sequence[str], alphabet: str) -> np.ndarray:
    """How often each symbol occurs in each text, int64 ``[n symbols]``."""
    return np.array([[text.count(symbol) for symbol in alphabet] for text in texts], np.int64)


def _load(task: Task, sizes: Sizes, folder: Path | None, seed: int, spec: str) -> Corpus:
    from attention.data.sources import _tfds_cache

    def rows() -> dict[str, tuple[list[str], list[int]]]:
        made = {}
        for stream, name in enumerate(("test", "validation", "train", LENGTHS)):
            rng, count = Draws(seed, _splits.LENGTHS_STREAM, stream), getattr(sizes, name)
            if not count:
                continue
            if name == LENGTHS:
                drawn = spread(allowed(task, sizes.min_length, longest(sizes)), count)
            else:
                known = allowed(task, sizes.min_length, sizes.max_length)
                drawn = known[rng.below(len(known), count)]
            tokens, labels = task.draw(rng, drawn)
            made[name] = texts(tokens, task.alphabet), labels.tolist()
        return made

    extra = "".join(f"-{key}-{value}" for key, value in task.options.items())
    splits = _tfds_cache.load(
        name=task.name,
        config=folder_name(sizes, seed) + extra,
        version="1.0.0",
        classes=task.classes,
        rows=rows,
        description=f"{task.name}, generated.",
        homepage=task.homepage,
        data_dir=folder,
    )
    corpus = _splits.corpus(splits, task.classes, seed=seed, resolved=spec)
    return corpus._replace(trained_length=sizes.max_length if sizes.lengths else None)


def rules(task: Task) -> tuple[Rule, ...]:
    """The most frequent class, the first or last symbol alone, read as train reads it most often, and ``task.bag``."""
    known = (MAJORITY, by_word("first_symbol", lambda text: text[0]), by_word("last_symbol", lambda text: text[-1]))
    bag = task.bag
    if bag is None:
        return known
    answer = lambda learned, texts: bag(counts(texts, task.alphabet)).tolist()
    return (*known, Rule("bag_of_symbols", nothing, answer))
