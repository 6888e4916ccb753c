"""Reading labelled texts from TSV, CSV and JSON Lines files, with the line named in every error."""

import csv
import gzip
import io
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from attention.files import most_unpacked, parse_json
from attention.specs import nearest

SUFFIXES = (".tsv", ".csv", ".jsonl")


class Table(NamedTuple):
    """The rows of one file: text, label as written, and the line each row is on."""

    path: Path
    texts: list[str]
    labels: list[str]
    lines: list[int]


def read(path: Path, *, text: str, label: str) -> Table:
    """Reads the columns ``text`` and ``label`` of a file; its suffix says the format, ``.gz`` may follow it.

    TSV is split at each TAB, without quoting; CSV follows Python's csv module; JSON Lines has one object per line.
    TSV and CSV begin with a line of column names. Labels are strings, or whole numbers in JSON Lines.

    Raises:
      ValueError: for anything that is not as described, naming the file and the line.
    """
    suffix = kind(path)
    content = read_text(path)
    rows = {".tsv": _tsv, ".csv": _csv, ".jsonl": _jsonl}[suffix](content, path, text, label)
    table = Table(path, [], [], [])
    for line, text_value, label_value in rows:
        for name, value in ((text, text_value), (label, label_value)):
            if not value.strip():
                raise ValueError(f"{path}, line {line}: {name!r} is empty")
        table.texts.append(text_value)
        table.labels.append(label_value.strip())
        table.lines.append(line)
    if not table.texts:
        raise ValueError(f"{path}: the split is empty, there is no row")
    return table


def kind(path: Path) -> str:
    """The format a file name stands for, one of ``SUFFIXES``."""
    suffix = path.with_suffix("").suffix if path.suffix == ".gz" else path.suffix
    if suffix not in SUFFIXES:
        raise ValueError(f"{path}: cannot tell the format from the name; wanted one of {', '.join(SUFFIXES)} [.gz]")
    return suffix


def read_text(path: Path) -> str:
    """The UTF-8 text of a file, unpacked where its name ends in ``.gz``; a byte order mark is dropped."""
    if not path.is_file():
        beside = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
        raise ValueError(f"there is no file {path}{nearest(path.name, beside)}")
    try:
        data = path.read_bytes()
        if path.suffix == ".gz":
            most = most_unpacked(len(data))
            data = gzip.GzipFile(fileobj=io.BytesIO(data)).read(most + 1)
            if len(data) > most:
                raise ValueError(f"{path} unpacks to more than {most >> 20} MiB, which no texts of its size do")
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(f"{path} is not a whole gzip file: {error}") from None
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from None
    try:
        return data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ValueError(f"{path}, line {line}: byte 0x{data[error.start]:02x} is not UTF-8") from None


def columns(path: Path) -> list[str]:
    """The names of the columns or fields that the first line of a file has."""
    suffix = kind(path)
    first = read_text(path).split("\n", 1)[0].rstrip("\r")
    if suffix != ".jsonl":
        return first.split("\t") if suffix == ".tsv" else next(csv.reader([first]), [])
    try:
        row = parse_json(first)
    except ValueError as error:
        raise ValueError(f"{path}, line 1: not JSON: {error}") from None
    return list(row) if isinstance(row, dict) else []


def _places(header: list[str], path: Path, *wanted: str) -> list[int]:
    listed = ", ".join(header)
    for name in wanted:
        if header.count(name) != 1:
            fault = "is there more than once" if name in header else f"is missing{nearest(name, header)}"
            raise ValueError(f"{path}: the column {name!r} {fault}; columns: {listed}")
    return [header.index(name) for name in wanted]


def _ragged(path: Path, line: int, got: int, wanted: int) -> ValueError:
    return ValueError(f"{path}, line {line}: {got} fields where the header has {wanted}")


def _lines(content: str) -> Iterator[tuple[int, str]]:
    # Not splitlines(), which also splits at the Unicode separators that texts may hold.
    lines = content.rstrip("\r\n").split("\n") if content.strip("\r\n") else []
    for number, line in enumerate(lines, 1):
        yield number, line.removesuffix("\r")


def _tsv(content: str, path: Path, text: str, label: str) -> Iterator[tuple[int, str, str]]:
    lines = _lines(content)
    header = next(lines, (1, ""))[1].split("\t")
    text_column, label_column = _places(header, path, text, label)
    for number, line in lines:
        fields = line.split("\t")
        if len(fields) != len(header):
            raise _ragged(path, number, len(fields), len(header))
        yield number, fields[text_column], fields[label_column]


def _csv(content: str, path: Path, text: str, label: str) -> Iterator[tuple[int, str, str]]:
    limit = csv.field_size_limit(2**31 - 1)  # the module's default refuses texts of more than 131,072 characters
    reader = csv.reader(io.StringIO(content.rstrip("\r\n"), newline=""), strict=True)
    try:
        header = next(reader, [])
        text_column, label_column = _places(header, path, text, label)
        for fields in reader:
            if len(fields) != len(header):
                raise _ragged(path, reader.line_num, len(fields), len(header))
            yield reader.line_num, fields[text_column], fields[label_column]
    except csv.Error as error:
        raise ValueError(f"{path}, line {reader.line_num}: not CSV: {error}") from None
    finally:
        csv.field_size_limit(limit)


def _jsonl(content: str, path: Path, text: str, label: str) -> Iterator[tuple[int, str, str]]:
    for number, line in _lines(content):
        try:
            row = json.loads(line)
        except (json.JSONDecodeError, RecursionError) as error:
            raise ValueError(f"{path}, line {number}: not JSON: {error}") from None
        if not isinstance(row, dict):
            raise ValueError(f"{path}, line {number}: wanted a JSON object, got {_short(row)}")
        for name in (text, label):
            if name not in row:
                listed = ", ".join(row)
                raise ValueError(f"{path}, line {number}: the field {name!r} is missing{nearest(name, row)}; fields: {listed}")
        if not isinstance(row[text], str):
            raise ValueError(f"{path}, line {number}: {text!r} is a string, got {_short(row[text])}")
        if not isinstance(row[label], (str, int)) or isinstance(row[label], bool):
            raise ValueError(f"{path}, line {number}: {label!r} is a string or whole number, got {_short(row[label])}")
        yield number, row[text], str(row[label])


def _short(value: Any) -> str:
    shown = json.dumps(value)
    return shown if len(shown) <= 40 else shown[:37] + "..."
