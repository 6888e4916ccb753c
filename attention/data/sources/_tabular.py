"""What the sources of tables share: from the rows of each split to a corpus, with what is odd about them said."""

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from attention.data.contracts import Corpus, Rule, Split
from attention.data.rules import FREQUENT, MAJORITY, MEAN, UNCHANGED
from attention.data.sources import _labels, _splits
from attention.data.tables import LABEL, NUMBER, SEPARATOR, Answer, Column, Columns, Table, columns_of, several
from attention.files import TryAgainError
from attention.messages import quoted, shown

_BARE = "has no labels, so that runs are not scored on it; the columns are looked for as in train"
Tables = Mapping[str, Table]


class Told(NamedTuple):
    """What is to be told of texts.

    Attributes:
      column: where it stands.
      answer: what it is.
      rules: what a model has to beat.
      make: (tables of each split, options of ``_splits.corpus``) -> the corpus, and what is odd about it.
      optional: whether test may have none.
    """

    column: Column
    answer: Answer
    rules: tuple[Rule, ...]
    make: Callable[..., tuple[Corpus, tuple[str, ...]]]
    optional: bool = True


def told(
    text: Columns,
    *,
    label: Column = "label",
    labels: Column | None = None,
    number: Column | None = None,
    target: Column | None = None,
    separator: str = SEPARATOR,
) -> Told:
    """What the options of a source ask for: the class of each text, any number of them, a number, or a text to write.

    Raises:
      ValueError: for columns that cannot be: one for two things, or two things to tell.
    """
    given = {"labels": labels, "number": number, "target": target}
    asked = {name: column for name, column in given.items() if column is not None}
    if label != "label" or len(asked) > 1:
        asked = {**({} if label == "label" else {"label": label}), **asked}
    if len(asked) > 1:
        (one, first), (other, second), *_ = asked.items()
        raise ValueError(f"{one}={quoted(first)} and {other}={quoted(second)}: texts have one thing to tell; give one")
    if not separator.strip():
        raise ValueError(f"separator stands between labels and is no blank, got {quoted(separator)}")
    name, column = next(iter(asked.items()), ("label", label))
    for each in (*columns_of(text), column):
        if each == "" or (isinstance(each, int) and each < 0):
            raise ValueError(f"a column is a name, or a number counted from 0; got {quoted(each)}")
    twice = [each for each in columns_of(text) if columns_of(text).count(each) > 1]
    if twice:
        raise ValueError(f"text={quoted(text)} names the column {quoted(twice[0])} twice")
    if column in columns_of(text):
        raise ValueError(f"{quoted(column)} is the column of texts and of what is to be told of them; give two columns")
    kinds = {
        "label": Told(column, LABEL, (MAJORITY,), _of_classes),
        "labels": Told(column, several(separator), (FREQUENT,), functools.partial(_of_sets, separator)),
        "number": Told(column, NUMBER, (MEAN,), _of_numbers),
        "target": Told(column, LABEL, (UNCHANGED,), _of_texts, optional=False),
    }
    return kinds[name]


def corpus(
    tables: Tables,
    *,
    files: Iterable[Path],
    where: Path,
    seed: int,
    validation_share: float,
    resolved: str,
    told: Told | None = None,
) -> Corpus:
    """The corpus of the tables of each split, train among them; validation is carved off train where there is none.

    Classes are the labels of train. Of a test without labels it is not known what is right.

    Args:
      tables: the rows of each split.
      files: what was read.
      where: what messages name where there is nothing to learn in train.
      seed: decides what is carved off.
      validation_share: of train.
      resolved: the source's spec.
      told: what there is to tell; None for the class of each text.

    Raises:
      ValueError: where a label is not in train, or there is nothing to learn.
    """
    make = _of_classes if told is None else told.make
    bare = [f"{shown(table.parts[0].path)}: {name} {_BARE}" for name, table in tables.items() if not table.labels]
    notes = [*(note for table in tables.values() for note in table.notes), *bare]
    try:
        made, odd = make(tables, seed=seed, validation_share=validation_share, resolved=resolved)
    except (_OfLineError, TryAgainError):
        raise
    except ValueError as error:
        raise ValueError(f"{shown(where)}: {error}") from None
    return made._replace(notes=(*notes, *odd, *made.notes), files=tuple(files))


class _OfLineError(ValueError):
    """What is wrong with a line, which the message names."""


def _of_classes(tables: Tables, **options: Any) -> tuple[Corpus, tuple[str, ...]]:
    train = tables["train"]
    classes = _splits.class_names(train.labels)
    splits = {name: Split(table.texts, _indices(table, classes)) for name, table in tables.items()}
    odd = (*_labels.notes(train.labels), *_labels.contradictions(train.texts, train.labels))
    return _splits.corpus(splits, classes, **options), odd


def _indices(table: Table, classes: tuple[str, ...]) -> np.ndarray | None:
    return _known(table.labels, classes, table.place) if table.labels else None


def _known(labels: Sequence[str], classes: tuple[str, ...], place: Callable[[int], str]) -> np.ndarray:
    try:
        return _splits.indices(labels, classes, place)
    except ValueError as error:
        raise _OfLineError(str(error)) from None


def _of_sets(separator: str, tables: Tables, **options: Any) -> tuple[Corpus, tuple[str, ...]]:
    """Each text with any number of classes, none among them."""
    train = tables["train"]
    every = [label for labels in train.labels for label in labels]
    if not every:
        raise ValueError("no text of train has a label")
    classes = _splits.class_names(every)
    splits = {name: Split(table.texts, _marked(table, classes)) for name, table in tables.items()}
    without = sum(not labels for labels in train.labels)
    odd = (f"{without} of {len(train.texts)} training texts have no label at all",) if without else ()
    return _splits.pairs(splits, **options)._replace(classes=classes), (
        *odd,
        *_labels.unparted(train.labels, separator),
        *_labels.notes(every),
    )


def _marked(table: Table, classes: tuple[str, ...]) -> np.ndarray | None:
    """0 and 1 for each text and class."""
    if not table.labels:
        return None
    rows = np.repeat(np.arange(len(table.texts)), [len(labels) for labels in table.labels])
    names = [label for labels in table.labels for label in labels]
    marked = np.zeros((len(table.texts), len(classes)), np.int8)
    marked[rows, _known(names, classes, lambda number: table.place(int(rows[number])))] = 1
    return marked


def _of_numbers(tables: Tables, **options: Any) -> tuple[Corpus, tuple[str, ...]]:
    numbers = {name: np.array([float(label) for label in table.labels], np.float64) for name, table in tables.items()}
    splits = {name: Split(table.texts, numbers[name] if table.labels else None) for name, table in tables.items()}
    if len(np.unique(numbers["train"])) < 2:
        raise ValueError(f"all numbers of train are {numbers['train'][0]:g}; there is nothing to tell apart")
    for name, each in numbers.items():
        with np.errstate(over="ignore", invalid="ignore"):
            finite = np.isfinite(np.square(each - numbers["train"].mean()).sum())
        if not finite:
            row = int(np.argmax(np.abs(each)))
            what = f"{each[row]:g} is too far from the other numbers, its squared error is not finite"
            raise _OfLineError(f"{tables[name].place(row)}: {what}")
    return _splits.pairs(splits, **options), ()


def _of_texts(tables: Tables, **options: Any) -> tuple[Corpus, tuple[str, ...]]:
    pairs = {name: Split(table.texts, None, table.labels) for name, table in tables.items()}
    return _splits.pairs(pairs, **options), ()
