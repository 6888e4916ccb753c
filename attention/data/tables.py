"""Labelled texts from files, whatever they are written in, with file and line named in every error; and writing such files.

``.tsv``, ``.csv``, ``.jsonl``, ``.json``, ``.parquet`` and ``.arrow`` are known by their names, lines of fastText by how they
begin, and every other file is a table whose delimiter is told by its columns. Each may be packed, see ``unpacking``. A folder
has a text in each of its files and a class in each of its folders.
"""

import bisect
import csv
import gzip
import io
import itertools
import json
import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from attention import heartbeat, specs
from attention.data import paths, unpacking, workers
from attention.data.file_text import Content, FileContent, decoded, large
from attention.data.formats import columnar, delimited, fasttext, json_lines, tree
from attention.data.formats.rows import (
    LABEL,
    NUMBER,
    TAGS,
    Answer,
    Asked,
    Block,
    Column,
    Form,
    Label,
    MissingColumnError,
    blocks,
    called,
    several,
)
from attention.data.segments import BETWEEN
from attention.data.texts import Collected, Labels, take
from attention.messages import quoted, shown

if TYPE_CHECKING:
    import pyarrow

__all__ = [
    "LABEL",
    "NUMBER",
    "TAGS",
    "WRITTEN",
    "Answer",
    "Column",
    "Columns",
    "Form",
    "Label",
    "MissingColumnError",
    "Table",
    "answer_of",
    "check_writable",
    "columns_given",
    "columns_of",
    "content",
    "named",
    "of_arrow",
    "read",
    "several",
]

Columns = Column | tuple[Column, ...]  # of a text
SEPARATOR = ";"  # of labels in a cell
WRITTEN = (".tsv", ".csv", ".jsonl")
_JSON, _COLUMNS = (".jsonl", ".json", ".ndjson"), (".parquet", ".arrow", ".feather")
# What a cell cannot hold.
_NEVER = {".tsv": re.compile(r"[\t\r\n\0\ud800-\udfff]"), ".csv": re.compile(r"[\0\ud800-\udfff]")}
_ANY = Form()
_STRANGE = {"nan", "NaN", "None", "null", "NULL", "<NA>"}  # what programs write where there is no text
_LEAVES_OUT = "skip_empty=True leaves out such rows"


class Part(NamedTuple):
    """The rows of one file: what they are called there, and the number of each."""

    path: Path
    unit: str
    numbers: Sequence[int] | np.ndarray

    def place(self, row: int) -> str:
        """Where one of its rows is, for messages."""
        number = f", {self.unit} {self.numbers[row]}" if self.unit else ""
        return f"{shown(self.path)}{number}{' (counted from 0)' if self.unit == 'row' else ''}"


class Table(NamedTuple):
    """The rows of one file, or of several one after the other.

    Attributes:
      texts: of each row; of very many in a file, from which they are read when they are asked for.
      labels: as written, or of each row as many as it has; empty where there are none.
      parts: the files.
      notes: lines for the user, about what looks as if it were not meant.
    """

    texts: Sequence[str]
    labels: Sequence[Any]
    parts: tuple[Part, ...]
    notes: tuple[str, ...] = ()

    def place(self, row: int, *, beside: int | None = None) -> str:
        """File and line of a row, counted from 0; the line alone where the row ``beside`` is of the same file."""
        ends = list(itertools.accumulate(len(part.numbers) for part in self.parts))
        number = bisect.bisect_right(ends, row)
        part = self.parts[number]
        whole = part.place(row - (ends[number - 1] if number else 0))
        same = beside is not None and bisect.bisect_right(ends, beside) == number
        return whole.removeprefix(f"{shown(part.path)}, ") if same else whole


def read(
    *given: Path,
    text: Columns,
    label: Column | None,
    answer: Answer = LABEL,
    optional: bool = False,
    form: Form = _ANY,
    skip_empty: bool = False,
    classes: Sequence[str] = (),
) -> Table:
    """Reads the columns ``text`` and ``label`` of files, or the texts and classes of folders.

    A column is a name, or a number counted from 0. Lines of fastText and folders have no columns: there these two are not
    asked for.

    Args:
      given: the files.
      text: column or field of the texts, or several, as ``columns_of`` has them.
      label: of the labels; None for texts alone.
      answer: what these are.
      optional: whether there may be no labels: no such column, or nothing in it, in all of the files.
      form: how the files are written.
      skip_empty: whether rows without a text or a label are left out, with a note of it, in place of an error.
      classes: of a folder, those that are read; () for all.

    Raises:
      ValueError: for anything that is not as described, naming the file, the line and the column.
    """
    texts = columns_of(text)
    rows = _Rows(Asked(given[0], texts, label, optional, form, answer))
    for path in given:
        asked = Asked(path, texts, label, optional, form, answer)
        if os.path.isdir(path):
            _add_folder(rows, asked, classes)
        else:
            _add_file(rows, asked)
    return rows.table(skip_empty=skip_empty)


def answer_of(name: str, separator: str) -> Answer:
    """What the option of a source of that name reads."""
    return {"labels": several(separator), "number": NUMBER, "tags": TAGS}.get(name, LABEL)


def columns_of(text: Columns) -> tuple[Column, ...]:
    """The columns that a text is made of: ``'premise,hypothesis'`` are two, ``('a, b',)`` is one with a comma in its name."""
    if isinstance(text, str):
        return tuple(each.strip() for each in text.split(","))
    return text if isinstance(text, tuple) else (text,)


def columns_given(columns: Sequence[str]) -> tuple[Column, ...]:
    """Columns as they stand in a flag: a whole number counts from 0, all else is a name."""
    return tuple(int(each) if each.isdecimal() else each for each in columns)


def named(text: str) -> list[Path]:
    """The files, or the folder of texts, that a bare path or glob stands for; none for the spec of a source.

    A folder that is divided into splits, or holds tables, is a source.

    Raises:
      ValueError: for an address, and for a folder that is neither.
    """
    path = paths.followed(text)
    if os.path.isdir(path) and tree.is_texts(Path(path)):
        return [Path(path)]
    try:
        taken = specs.of_path("source", text)
    except ValueError:
        if os.path.isdir(path) and (stray := tree.stray(Path(path))):
            raise ValueError(f"{shown(stray[0])} is in a folder of texts and no .txt file: take it out") from None
        raise
    if taken is None or os.path.isdir(path):
        return []
    paths.check_local(text)
    return paths.matches(path)


def of_arrow(
    found: "pyarrow.Table",
    path: Path,
    *,
    text: Columns,
    label: Column,
    answer: Answer = LABEL,
    optional: bool = False,
    skip_empty: bool = False,
) -> Table:
    """``read`` for a table that is at hand; ``path`` is what messages call it."""
    asked = Asked(path, columns_of(text), label, optional, _ANY, answer)
    rows = _Rows(asked)
    rows.add(path, "row", blocks(columnar.of_table(asked, found)))
    return rows.table(skip_empty=skip_empty)


class _Rows:
    """The rows of one file after another, from which a table is made; a label that is not there is ""."""

    def __init__(self, asked: Asked):
        self._asked = asked
        self._texts, self._labels, self._parts = Collected(), Labels(), []
        self._blank, self._strange, self._odd, self._count = [], [], "", 0

    def add(self, path: Path, unit: str, read: Iterable[Block]) -> None:
        """The rows of a file, which are counted as ``unit`` there."""
        answer, numbers = self._asked.answer, [np.zeros(0, np.int64)]
        for block in read:
            self._texts.add(block.texts)
            self._labels.add(
                ["" if each is None else answer.read(each) if isinstance(each, str) else each for each in block.labels]
            )
            self._blank += [row for row, text in enumerate(block.texts, self._count) if not text or text.isspace()]
            self._strange += [row for row, text in enumerate(block.texts, self._count) if len(text) < 5 and text in _STRANGE]
            self._count += len(block.texts)
            numbers.append(np.array(block.numbers, np.int64))
            if block.note is not None and not self._odd:
                number, note = block.note
                self._odd = f"{Part(path, unit, [number]).place(0)}: {note}"
        self._parts.append(Part(path, unit, np.concatenate(numbers)))

    def table(self, *, skip_empty: bool) -> Table:
        """The table without holes. Raises ValueError where it has some, or no row."""
        asked = self._asked
        table = Table(self._texts.done(), self._labels.done(), tuple(self._parts))
        labelled = next((number for number, label in enumerate(table.labels) if label), None)
        bare = asked.label is None or (asked.optional and labelled is None)
        holes = {number: asked.texts for number in self._blank}
        if not bare and asked.label is not None:
            holes = {**{number: (asked.label,) for number, each in enumerate(table.labels) if each == ""}, **holes}
        if holes and not skip_empty:
            first = min(holes)
            more = f", as {len(holes) - 1} more rows are" if len(holes) > 1 else ""
            help = "" if asked.optional or asked.answer.at_words else f"; {_LEAVES_OUT}"
            if asked.optional and first in holes and holes[first] == (asked.label,) and labelled is not None:
                help = f", and {table.place(labelled, beside=first)} has one: fill in all of them or none"
            raise ValueError(f"{table.place(first)}: {called(*holes[first])} is empty{more}{help}")
        if len(holes) == self._count:
            raise ValueError(f"{shown(asked.path)}: the split is empty, there is no row")
        notes = [self._odd] if self._odd else []
        _check(table, holes, asked, bare=bare)
        if strange := [number for number in self._strange if number not in holes]:
            what = f"{called(*asked.texts)} is {quoted(table.texts[strange[0]])}"
            all_of_them = f"in all {len(strange)} texts look like what is written where there is none"
            strange = [f"{table.place(strange[0])}: {what}, {all_of_them}"]
        if holes:
            first = table.place(min(holes))
            notes.append(f"{first}: {len(holes)} rows without a text or a label were left out, this is the first")
            table = _rows(table, np.delete(np.arange(self._count), [*holes]))
        return table._replace(labels=[] if bare else table.labels, notes=(*notes, *strange))


def _check(table: Table, holes: Mapping[int, Any], asked: Asked, *, bare: bool) -> None:
    """Raises ValueError for a label that is no such answer, more or fewer tags than words, and columns that run together."""
    labelled, at_words, several = not bare and asked.label is not None, asked.answer.at_words, len(asked.texts) > 1
    texts = table.texts if several or at_words else itertools.repeat("")
    for row, (text, label) in enumerate(zip(texts, table.labels)):
        if row in holes:
            continue
        if labelled and asked.label is not None and not asked.answer.fits(label):
            raise ValueError(f"{table.place(row)}: {called(asked.label)} is {asked.answer.words}, got {quoted(label, 40)}")
        if labelled and at_words and len(text.split()) != len(label.split()):
            raise ValueError(f"{table.place(row)}: {len(text.split())} words and {len(label.split())} tags")
        if several and text.count(BETWEEN) >= len(asked.texts):
            raise ValueError(f"{table.place(row)}: {called(*asked.texts)} hold {BETWEEN}, which stands between them")


def _rows(table: Table, kept: np.ndarray) -> Table:
    """Some rows of a table, in their order."""
    parts, begin = [], 0
    for part in table.parts:
        end = begin + len(part.numbers)
        here = kept[np.searchsorted(kept, begin) : np.searchsorted(kept, end)]
        parts.append(part._replace(numbers=np.asarray(part.numbers)[here - begin]))
        begin = end
    return Table(take(table.texts, kept), take(table.labels, kept), tuple(parts))


def _add_file(rows: _Rows, asked: Asked) -> None:
    suffix = Path(unpacking.plain_name(asked.path.name).lower()).suffix
    content = None if suffix in _COLUMNS or asked.form.encoding else large(asked.path)
    if content is None:
        name, data = unpacking.read(asked.path)
        suffix = Path(name.lower()).suffix
        if suffix in _COLUMNS:
            rows.add(asked.path, "row", blocks(columnar.rows(asked, data)))
            return
        content = Content(decoded(data, asked.path, asked.form.encoding))
        del data
        rows.add(asked.path, *_text_rows(asked, content, suffix))
        return
    workers.expect(os.path.getsize(asked.path))
    with heartbeat.doing(f"reading {shown(asked.path)}") as step:
        unit, read = _text_rows(asked, content, suffix)
        rows.add(asked.path, unit, _followed(read, content, step))


def _followed(read: Iterator[Block], content: FileContent, step: heartbeat.Step) -> Iterator[Block]:
    """The rows, and to ``step`` how much of the file they are."""
    for block in read:
        yield block
        step.share = content.share


def _text_rows(asked: Asked, content: Content, suffix: str) -> tuple[str, Iterator[Block]]:
    """What the rows of a text are counted by, and these."""
    begin = content.begin(1000)
    is_array = json_lines.ARRAY.match(begin[:200])
    if suffix in _JSON:
        is_array = is_array or (suffix == ".json" and content.whole().lstrip().startswith("["))
        read, unit = (json_lines.items, "row") if is_array else (json_lines.rows, "line")
        return unit, blocks(read(asked, content))
    if is_array:
        raise ValueError(f"{shown(asked.path)} is a JSON array and no table of lines: name it .json")
    if begin.lstrip().startswith(fasttext.MARK):
        return "line", blocks(fasttext.rows(asked, content))
    return "line", delimited.blocks(asked, content, tsv=suffix == ".tsv")


def _add_folder(rows: _Rows, asked: Asked, classes: Sequence[str]) -> None:
    files = tree.files(asked.path, classes) or ([(path, None) for path in tree.texts(asked.path)] if asked.optional else [])
    if not files:
        raise ValueError(f"{shown(asked.path)}: {tree.WANTED}")
    for path, name in files:
        rows.add(path, "", [Block([0], [tree.text(path, asked.form.encoding)], [name])])


def check_writable(path: Path) -> str:
    """The suffix of a file to write, in small letters: one of ``WRITTEN``. Raises ValueError for another name."""
    suffix = Path(path.name.lower().removesuffix(".gz")).suffix
    if suffix not in WRITTEN:
        raise ValueError(f"{shown(path)}: cannot tell the format from the name; wanted one of {', '.join(WRITTEN)} [.gz]")
    return suffix


def content(path: Path, columns: Mapping[str, Sequence[str | float | tuple[str, ...]]], separator: str = SEPARATOR) -> bytes:
    """The bytes of a file of columns that ``read`` reads, in the format that its name stands for.

    Numbers have nine digits; in JSON they are numbers, null where they are not finite. Several labels are a list in JSON,
    and else one cell with ``separator`` between them.

    Raises:
      ValueError: for a cell that the format cannot hold: TSV no TAB or line break, TSV and CSV no zero and no half surrogate,
        and no label with the separator in it.
    """
    suffix, rows = check_writable(path), list(zip(*columns.values(), strict=True))
    buffer = io.StringIO(newline="")
    if suffix == ".jsonl":
        buffer.writelines(json.dumps(dict(zip(columns, map(_in_json, row)))) + "\n" for row in rows)
    else:
        rows = [tuple(columns), *(tuple(_in_cell(value, separator) for value in row) for row in rows)]
        for number, row in enumerate(rows):
            for name, cell in zip(columns, row):
                if (found := _NEVER[suffix].search(cell)) is not None:
                    wanted = "name it .csv or .jsonl" if found[0] in "\t\r\n" else "name it .jsonl"
                    where = f"row {number} of {quoted(name)}" if number else f"the name {quoted(name)}"
                    raise ValueError(f"{shown(path)}: {where} holds {found[0]!r}, which {suffix} cannot keep; {wanted}")
        if suffix == ".csv":
            writer = csv.writer(buffer)  # lines end in CR LF, so that a cell with either is quoted
        else:
            writer = csv.writer(buffer, lineterminator="\n", delimiter="\t", quoting=csv.QUOTE_NONE, quotechar=None)
        writer.writerows(rows)
    data = buffer.getvalue().encode()
    return gzip.compress(data, mtime=0) if path.suffix.lower() == ".gz" else data


def _in_cell(value: str | float | tuple[str, ...], separator: str) -> str:
    if isinstance(value, tuple):
        if several := next((each for each in value if separator in each), None):
            raise ValueError(f"the label {quoted(several)} holds the separator {separator!r}; name the file .jsonl")
        return separator.join(value)
    return f"{value:.9g}" if isinstance(value, float) else str(value)


def _in_json(value: str | float | tuple[str, ...]) -> str | float | list[str] | None:
    if isinstance(value, (str, int)):
        return value
    if isinstance(value, tuple):
        return list(value)
    return float(f"{value:.9g}") if math.isfinite(value) else None
