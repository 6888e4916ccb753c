"""What the readers of tables share: what is asked of a file, a row of it, and where its columns are."""

import csv
import itertools
import math
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from attention.data.contracts import NOTHING
from attention.data.file_text import Content
from attention.data.segments import joined
from attention.messages import listed, quoted, shortened, shown
from attention.specs import nearest

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "TAB", "|": "bar"}

_NUMBER = re.compile(r"\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\s*")  # float() takes 1_000 and other digits too

Column = str | int
Label = str | tuple[str, ...]


class MissingColumnError(ValueError):
    """A file that has no column, or no field, of a name or number."""


class Form(NamedTuple):
    """How files are written, where their names and bytes do not say it.

    Attributes:
      delimiter: what separates the cells of a line; None where the file tells.
      quotes: whether cells may stand in quotes, as CSV has them; None where the name tells: not in TSV.
      header: whether the first line names the columns; None where the columns tell: a named one is named there.
      encoding: of text that is neither UTF-8 nor begins with a byte order mark; None where there is none such.
    """

    delimiter: str | None = None
    quotes: bool | None = None
    header: bool | None = None
    encoding: str | None = None


class Answer(NamedTuple):
    """What a column of labels holds.

    Attributes:
      words: what messages call it.
      written: (value of JSON or a typed column) -> it as it would stand in a cell, or several; None for what it cannot be.
      read: (cell) -> what it says.
      fits: (what it says) -> whether that is such an answer.
      at_words: whether there is one for each word of a text, which may be a list of words.
    """

    words: str
    written: Callable[[Any], Label | None]
    read: Callable[[str], Label] = str.strip
    fits: Callable[[Label], bool] = lambda label: True
    at_words: bool = False


class Asked(NamedTuple):
    """A file, the columns of texts and labels by name or number, whether labels may be missing, and how it is written.

    Without a column of labels there are none to read.
    """

    path: Path
    texts: tuple[Column, ...]
    label: Column | None
    optional: bool
    form: Form
    answer: Answer

    @property
    def columns(self) -> tuple[Column, ...]:
        """All of them."""
        return self.texts if self.label is None else (*self.texts, self.label)

    @property
    def named(self) -> tuple[str, ...]:
        """The names that the file must have."""
        return tuple(column for column in (self.texts if self.optional else self.columns) if isinstance(column, str))


class Row(NamedTuple):
    """A row as it stands: its number, its text, its label (None where there is none), and what is odd about it."""

    number: int
    text: str
    label: Label | None
    note: str | None = None


class Block(NamedTuple):
    """Some rows of a file one after the other, as ``Row`` has each, and the number of the first odd row with its note."""

    numbers: Sequence[int]
    texts: list[str]
    labels: list[Label | None]
    note: tuple[int, str] | None = None


_ROWS = 4096  # of a block


def blocks(rows: Iterator[Row]) -> Iterator[Block]:
    """Rows, many at a time."""
    while some := list(itertools.islice(rows, _ROWS)):
        note = next(((row.number, row.note) for row in some if row.note), None)
        yield Block([row.number for row in some], [row.text for row in some], [row.label for row in some], note)


def called(*columns: Column) -> str:
    """Columns as they stand in messages."""
    return " and ".join(quoted(column) if isinstance(column, str) else f"column {column}" for column in columns)


def lines(content: Content | str) -> Iterator[tuple[int, str]]:
    """Number and text of each line; only LF and CR LF end one, for texts may hold the separators of Unicode."""
    whole = Content(content) if isinstance(content, str) else content
    for number, line in enumerate(whole.lines(newline="\n"), 1):
        yield number, line.removesuffix("\n").removesuffix("\r")


def places(asked: Asked, header: Sequence[str], *, hint: str = "") -> tuple[tuple[int, ...], int | None]:
    """Where the columns of texts and that of labels are; the latter is None where it is missing and may be.

    Raises:
      ValueError: where one is missing, or there twice.
    """
    names = [name.strip() for name in header]
    texts = tuple(_place(asked, column, names, hint) for column in asked.texts)
    if asked.label is None or (
        asked.optional and asked.label not in (names if isinstance(asked.label, str) else range(len(names)))
    ):
        return texts, None
    return texts, _place(asked, asked.label, names, hint)


def _place(asked: Asked, column: Column, names: list[str], hint: str) -> int:
    if isinstance(column, int):
        if column >= len(names):
            raise MissingColumnError(f"{shown(asked.path)}: there is no column {column}, counted from 0: it has {len(names)}")
        return column
    if names.count(column) == 1:
        return names.index(column)
    where = f"{shown(asked.path)}: the column {quoted(column)}"
    if column in names:
        raise ValueError(f"{where} is there more than once; columns: {listed(names)}")
    raise MissingColumnError(f"{where} is missing{nearest(column, names)}; columns: {listed(names)}{hint}")


def written(value: Any) -> str | None:
    """A label as the name of a class: a string, a whole number, True or False; None for what is none of these.

    A whole number that is kept with decimals, as tables with holes in them do, is that number.
    """
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value) if isinstance(value, (str, int)) else None


def several(separator: str) -> Answer:
    """Labels of which a text has any number: a list, or joined in one cell."""

    def read(cell: str) -> Label:
        if re.fullmatch(r"\s*\[.*\]\s*", cell, re.DOTALL):  # a list as Python or JSON writes it, which is no label
            return cell
        return tuple(found for part in cell.split(separator) if (found := part.strip()))

    def listed_in(value: Any) -> Label | None:
        if not isinstance(value, list | tuple):
            return written(value)
        items = [written(item) for item in value]
        return None if None in items else tuple(found for item in items if (found := str(item).strip()))

    words = f"a list of strings or whole numbers in JSON or Parquet, else labels with {separator!r} between them"
    return Answer(words, listed_in, read, fits=lambda labels: isinstance(labels, tuple))


def _number(value: Any) -> str | None:
    return str(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else None


def _is_number(cell: Label) -> bool:
    return bool(_NUMBER.fullmatch(str(cell))) and math.isfinite(float(str(cell)))


def single(word: str) -> str:
    """A word without blanks, which stand between words: each becomes ``_``."""
    return re.sub(r"\s", "_", word.strip()) or NOTHING


def _tags(value: Any) -> str | None:
    if not isinstance(value, list):
        return written(value)
    items = [written(item) for item in value]
    return None if None in items else " ".join(single(str(item)) for item in items)


LABEL = Answer("a string, a whole number, True or False", written)
NUMBER = Answer("a number", _number, fits=_is_number)
TAGS = Answer("a string or a list of tags", _tags, at_words=True)


def text_of(asked: Asked, values: Sequence[Any], where: str) -> str:
    """The text of the cells of its columns. Raises ValueError for one that is no string."""
    for column, value in zip(asked.texts, values):
        if not isinstance(value, str | None) and not (asked.answer.at_words and _is_list_of_words(value)):
            what = "a string or a list of words" if asked.answer.at_words else "a string"
            raise ValueError(f"{where}: {called(column)} is {what}, got {as_given(value)}")
    return joined([" ".join(map(single, value)) if isinstance(value, list) else value or "" for value in values])


def _is_list_of_words(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(word, str) for word in value)


def as_given(value: Any) -> str:
    """A value as it stands in messages."""
    return shortened(repr(value), 40)


def fields(line: str, delimiter: str) -> list[str]:
    """The cells of one line of CSV, none where it is not CSV."""
    try:
        return next(csv.reader([line.rstrip("\r")], delimiter=delimiter), [])
    except csv.Error:
        return []
