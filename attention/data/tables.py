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
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from attention import specs
from attention.data import paths, unpacking
from attention.data.file_text import decoded
from attention.data.formats import columnar, delimited, fasttext, json_lines, tree
from attention.data.formats.rows import (
    LABEL,
    NUMBER,
    TAGS,
    Answer,
    Asked,
    Column,
    Form,
    Label,
    MissingColumnError,
    Row,
    called,
    several,
)
from attention.data.segments import BETWEEN
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
_LEAVES_OUT = "skip_empty=True leaves out such rows"


class Part(NamedTuple):
    """The rows of one file: what they are called there, and the number of each."""

    path: Path
    unit: str
    numbers: Sequence[int]

    def place(self, row: int) -> str:
        """Where one of its rows is, for messages."""
        number = f", {self.unit} {self.numbers[row]}" if self.unit else ""
        return f"{shown(self.path)}{number}{' (counted from 0)' if self.unit == 'row' else ''}"


class Table(NamedTuple):
    """The rows of one file, or of several one after the other.

    Attributes:
      texts: of each row.
      labels: as written, or of each row as many as it has; empty where there are none.
      parts: the files.
      notes: lines for the user, about what looks as if it were not meant.
    """

    texts: list[str]
    labels: list[Any]
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
    parts: list[Part] = []
    rows: list[Row] = []
    texts = columns_of(text)
    for path in given:
        asked = Asked(path, texts, label, optional, form, answer)
        found = _folder(asked, classes) if os.path.isdir(path) else [_file(asked)]
        parts += [part for part, _ in found]
        rows += [row for _, here in found for row in here]
    return _whole(
        _joined(parts, rows, answer), rows, Asked(given[0], texts, label, optional, form, answer), skip_empty=skip_empty
    )


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
    rows = list(columnar.of_table(asked, found))
    part = Part(path, "row", [row.number for row in rows])
    return _whole(_joined([part], rows, answer), rows, asked, skip_empty=skip_empty)


def _joined(parts: Sequence[Part], rows: Sequence[Row], answer: Answer) -> Table:
    """The rows of all parts; a label that is not there is ""."""
    read = lambda label: "" if label is None else answer.read(label) if isinstance(label, str) else label
    return Table([row.text for row in rows], [read(row.label) for row in rows], tuple(parts))


def _whole(table: Table, rows: Sequence[Row], asked: Asked, *, skip_empty: bool) -> Table:
    """The table without holes. Raises ValueError where it has some, or no row."""
    odd = next((f"{table.place(number)}: {row.note}" for number, row in enumerate(rows) if row.note), None)
    labelled = next((number for number, label in enumerate(table.labels) if label), None)
    bare = asked.label is None or (asked.optional and labelled is None)
    holes = {number: asked.texts for number, each in enumerate(table.texts) if not each.strip()}
    if not bare and asked.label is not None:
        holes = {**{number: (asked.label,) for number, each in enumerate(table.labels) if each == ""}, **holes}
    if holes and not skip_empty:
        first = min(holes)
        more = f", as {len(holes) - 1} more rows are" if len(holes) > 1 else ""
        help = "" if asked.optional or asked.answer.at_words else f"; {_LEAVES_OUT}"
        if asked.optional and first in holes and holes[first] == (asked.label,) and labelled is not None:
            help = f", and {table.place(labelled, beside=first)} has one: fill in all of them or none"
        raise ValueError(f"{table.place(first)}: {called(*holes[first])} is empty{more}{help}")
    kept = [number for number in range(len(rows)) if number not in holes]
    if not kept:
        raise ValueError(f"{shown(asked.path)}: the split is empty, there is no row")
    notes = [] if odd is None else [odd]
    _check(table, kept, asked, bare=bare)
    if holes:
        notes.append(f"{table.place(min(holes))}: {len(holes)} rows without a text or a label were left out, this is the first")
        table = _rows(table, kept)
    return table._replace(labels=[] if bare else table.labels, notes=(*notes, *_missing_texts(table, asked.texts)))


def _check(table: Table, rows: Sequence[int], asked: Asked, *, bare: bool) -> None:
    """Raises ValueError for a label that is no such answer, more or fewer tags than words, and columns that run together."""
    for row in rows:
        if not bare and asked.label is not None and not asked.answer.fits(table.labels[row]):
            have = quoted(table.labels[row], 40)
            raise ValueError(f"{table.place(row)}: {called(asked.label)} is {asked.answer.words}, got {have}")
        if not bare and asked.answer.at_words:
            words, tags = len(table.texts[row].split()), len(table.labels[row].split())
            if words != tags:
                raise ValueError(f"{table.place(row)}: {words} words and {tags} tags")
        if len(asked.texts) > 1 and table.texts[row].count(BETWEEN) >= len(asked.texts):
            raise ValueError(f"{table.place(row)}: {called(*asked.texts)} hold {BETWEEN}, which stands between them")


def _rows(table: Table, kept: Sequence[int]) -> Table:
    """Some rows of a table, in their order."""
    parts, begin = [], 0
    for part in table.parts:
        end = begin + len(part.numbers)
        here = kept[bisect.bisect_left(kept, begin) : bisect.bisect_left(kept, end)]
        parts.append(part._replace(numbers=[part.numbers[number - begin] for number in here]))
        begin = end
    return Table([table.texts[number] for number in kept], [table.labels[number] for number in kept], tuple(parts))


def _missing_texts(table: Table, texts: Sequence[Column]) -> list[str]:
    """A note on texts that are what programs write where there is none."""
    found = [number for number, each in enumerate(table.texts) if each in ("nan", "NaN", "None", "null", "NULL", "<NA>")]
    if not found:
        return []
    what = f"{called(*texts)} is {quoted(table.texts[found[0]])}"
    return [f"{table.place(found[0])}: {what}, in all {len(found)} texts look like what is written where there is none"]


def _file(asked: Asked) -> tuple[Part, list[Row]]:
    name, data = unpacking.read(asked.path)
    suffix = Path(name.lower()).suffix
    if suffix in _COLUMNS:
        rows, unit = columnar.rows(asked, data), "row"
    else:
        rows, unit = _text_rows(asked, decoded(data, asked.path, asked.form.encoding), suffix)
    rows = list(rows)
    return Part(asked.path, unit, [row.number for row in rows]), rows


def _text_rows(asked: Asked, content: str, suffix: str) -> tuple[Iterator[Row], str]:
    """The rows of a text, and what they are counted by."""
    is_array = json_lines.ARRAY.match(content[:200])
    if suffix in _JSON:
        is_array = is_array or (suffix == ".json" and content.lstrip().startswith("["))
        return (json_lines.items(asked, content), "row") if is_array else (json_lines.rows(asked, content), "line")
    if is_array:
        raise ValueError(f"{shown(asked.path)} is a JSON array and no table of lines: name it .json")
    if content[:1000].lstrip().startswith(fasttext.MARK):
        return fasttext.rows(asked, content), "line"
    return delimited.rows(asked, content, tsv=suffix == ".tsv"), "line"


def _folder(asked: Asked, classes: Sequence[str]) -> list[tuple[Part, list[Row]]]:
    files = tree.files(asked.path, classes) or ([(path, None) for path in tree.texts(asked.path)] if asked.optional else [])
    if not files:
        raise ValueError(f"{shown(asked.path)}: {tree.WANTED}")
    return [(Part(path, "", [0]), [Row(0, tree.text(path, asked.form.encoding), name)]) for path, name in files]


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
