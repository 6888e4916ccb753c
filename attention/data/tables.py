"""Reading labelled texts from TSV, CSV and JSON Lines files, with the line named in every error, and writing such files."""

import csv
import gzip
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from attention.data._rows import ARRAY, OF_ARRAY, Asked, MissingColumnError, Row, header_places, lines, ragged
from attention.data.file_text import read_text
from attention.data.spreadsheets import csv_rows, quoted_cells
from attention.files import parse_json
from attention.messages import listed, quoted, shortened, shown
from attention.specs import nearest

_CALLED = {".tsv": "TSV", ".csv": "CSV", ".jsonl": "JSON Lines"}
SUFFIXES = tuple(_CALLED)
_SHEET = "cells in quotes, as spreadsheets write them, are read with their quotes in TSV; save it as .csv to lose them"
# What a cell cannot hold.
_NEVER = {".tsv": re.compile(r"[\t\r\n\0\ud800-\udfff]"), ".csv": re.compile(r"[\0\ud800-\udfff]")}


class Table(NamedTuple):
    """The rows of one file.

    Attributes:
      path: the file.
      texts: of each row.
      labels: as written; empty where the file has none.
      lines: on which each row begins.
      notes: lines for the user, about what looks as if it were not meant.
    """

    path: Path
    texts: list[str]
    labels: list[str]
    lines: list[int]
    notes: tuple[str, ...] = ()


def read(path: Path, *, text: str, label: str, optional: bool = False) -> Table:
    """Reads the columns ``text`` and ``label`` of a file; its suffix says the format, ``.gz`` may follow it.

    TSV is split at each TAB, without quoting; CSV follows Python's csv module, and may have semicolons, TABs or bars for commas
    as spreadsheets write them; JSON Lines has one object per line. TSV and CSV begin with a line of column names. Labels are
    strings, or whole numbers in JSON Lines.

    Args:
      path: the file.
      text: column or field of the texts.
      label: of the labels.
      optional: whether the file may have no labels: no such column, or nothing in it.

    Raises:
      ValueError: for anything that is not as described, naming the file and the line.
    """
    reader = {".tsv": _tsv, ".csv": csv_rows, ".jsonl": _jsonl}[kind(path)]
    content = read_text(path)
    if ARRAY.match(content[:200]):
        raise ValueError(f"{shown(path)} is a JSON array and not {_CALLED[kind(path)]}: {OF_ARRAY}")
    rows = list(reader(Asked(path, content, text, label, optional)))
    if not rows:
        raise ValueError(f"{shown(path)}: the split is empty, there is no row")
    labels = [(row.label or "").strip() for row in rows]
    labelled = next((row.line for row, name in zip(rows, labels) if name), None)
    bare = optional and labelled is None
    for row, name in zip(rows, labels):
        if not row.text.strip():
            raise ValueError(f"{shown(path)}, line {row.line}: {quoted(text)} is empty")
        if not (name or bare):
            have = f", and line {labelled} has one: fill in all of them or none" if optional else ""
            raise ValueError(f"{shown(path)}, line {row.line}: {quoted(label)} is empty{have}")
    notes = [f"{shown(path)}, line {row.line}: {row.note}" for row in rows if row.note]
    return Table(path, [row.text for row in rows], [] if bare else labels, [row.line for row in rows], tuple(notes[:1]))


def kind(path: Path) -> str:
    """The format a file name stands for, in small letters or capitals: one of ``SUFFIXES``."""
    suffix = Path(path.name.lower().removesuffix(".gz")).suffix
    if suffix not in SUFFIXES:
        raise ValueError(f"{shown(path)}: cannot tell the format from the name; wanted one of {', '.join(SUFFIXES)} [.gz]")
    return suffix


def _tsv(asked: Asked) -> Iterator[Row]:
    numbered = lines(asked.content)
    header = next(numbered, (1, ""))[1].split("\t")
    text_column, label_column = header_places(asked, header)
    sheet = quoted_cells(asked.content)
    for number, line in numbered:
        cells = line.split("\t")
        if len(cells) != len(header):
            raise ragged(asked, number, len(cells), len(header), f"; {_SHEET}" if line.count('"') % 2 else "")
        odd = _SHEET if sheet and cells[text_column].startswith('"') else None
        yield Row(number, cells[text_column], None if label_column is None else cells[label_column], odd)


def _jsonl(asked: Asked) -> Iterator[Row]:
    for number, line in lines(asked.content):
        where = f"{shown(asked.path)}, line {number}"
        try:
            row = parse_json(line)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{where}: not JSON: {error}") from None
        if not isinstance(row, dict):
            raise ValueError(f"{where}: wanted a JSON object, got {_json(row)}")
        if asked.optional and row.get(asked.label) is None:
            row[asked.label] = ""
        for name in (asked.text, asked.label):
            if name not in row:
                raise MissingColumnError(
                    f"{where}: the field {quoted(name)} is missing{nearest(name, row)}; fields: {listed(row)}"
                )
        text, label = row[asked.text], row[asked.label]
        if not isinstance(text, str):
            raise ValueError(f"{where}: {quoted(asked.text)} is a string, got {_json(text)}")
        if not isinstance(label, (str, int)) or isinstance(label, bool):
            raise ValueError(f"{where}: {quoted(asked.label)} is a string or whole number, got {_json(label)}")
        yield Row(number, text, str(label))


def _json(value: Any) -> str:
    return shortened(json.dumps(value), 40)


def content(path: Path, columns: Mapping[str, Sequence[str]]) -> bytes:
    """The bytes of a file of columns that ``read`` reads, in the format that its name stands for.

    Raises:
      ValueError: for a cell that the format cannot hold: TSV no TAB or line break, TSV and CSV no zero and no half surrogate.
    """
    suffix, rows = kind(path), list(zip(*columns.values(), strict=True))
    buffer = io.StringIO(newline="")
    if suffix == ".jsonl":
        buffer.writelines(json.dumps(dict(zip(columns, row))) + "\n" for row in rows)
    else:
        for number, row in enumerate((tuple(columns), *rows)):
            for name, cell in zip(columns, row):
                if (found := _NEVER[suffix].search(cell)) is not None:
                    wanted = "name it .csv or .jsonl" if found[0] in "\t\r\n" else "name it .jsonl"
                    where = f"row {number} of {quoted(name)}" if number else f"the name {quoted(name)}"
                    raise ValueError(f"{shown(path)}: {where} holds {found[0]!r}, which {suffix} cannot keep; {wanted}")
        if suffix == ".csv":
            writer = csv.writer(buffer)  # lines end in CR LF, so that a cell with either is quoted
        else:
            writer = csv.writer(buffer, lineterminator="\n", delimiter="\t", quoting=csv.QUOTE_NONE, quotechar=None)
        writer.writerows([tuple(columns), *rows])
    data = buffer.getvalue().encode()
    return gzip.compress(data, mtime=0) if path.suffix.lower() == ".gz" else data
