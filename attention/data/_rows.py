"""What the readers of tables share: what is asked of a file, a row of it, and where its columns are."""

import csv
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from attention.messages import listed, quoted, shown
from attention.specs import nearest

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "TAB", "|": "bar"}
OF_ARRAY = 'python -c "import json, sys; [print(json.dumps(row)) for row in json.load(sys.stdin)]" < FILE > NEW.jsonl'
ARRAY = re.compile(r"\s*\[\s*\{")


class MissingColumnError(ValueError):
    """A file that has no column, or no field, of a name."""


class Asked(NamedTuple):
    """A file, its content, the names of the two columns, and whether that of the labels may be missing."""

    path: Path
    content: str
    text: str
    label: str
    optional: bool


class Row(NamedTuple):
    """A row as it stands: the line it begins on, its text, its label (None where there is none), and what is odd about it."""

    line: int
    text: str
    label: str | None
    note: str | None = None


def lines(content: str) -> Iterator[tuple[int, str]]:
    """Number and text of each line; only LF and CR LF end one, for texts may hold the separators of Unicode."""
    split = content.rstrip("\r\n").split("\n") if content.strip("\r\n") else []
    for number, line in enumerate(split, 1):
        yield number, line.removesuffix("\r")


def header_places(asked: Asked, header: list[str]) -> tuple[int, int | None]:
    """Where the columns of texts and labels are. Raises ValueError where one is missing or there twice."""
    if not asked.content.strip():
        raise ValueError(f"{shown(asked.path)}: there is nothing in it")
    for name in (asked.text, asked.label):
        if header.count(name) == 1 or (asked.optional and name == asked.label and name not in header):
            continue
        where = f"{shown(asked.path)}: the column {quoted(name)}"
        if name in header:
            raise ValueError(f"{where} is there more than once; columns: {listed(header)}")
        raise MissingColumnError(f"{where} is missing{nearest(name, header)}; columns: {listed(header)}{hint(asked)}")
    return header.index(asked.text), header.index(asked.label) if asked.label in header else None


def hint(asked: Asked) -> str:
    """What a file is that has not the columns its name promises."""
    begin = asked.content[:200].lstrip()
    if begin.startswith("{"):
        return "; it looks like JSON Lines: name it .jsonl"
    if begin.startswith("<"):
        return "; it looks like a page of HTML or XML"
    first = asked.content[:10_000].split("\n", 1)[0]
    found = next((sign for sign in ",;|" if asked.text in fields(first, sign)), None)
    return f"; they are separated by a {DELIMITERS[found]}: name it .csv" if found else "; its first line has to name them"


def fields(line: str, delimiter: str) -> list[str]:
    """The cells of one line of CSV, none where it is not CSV."""
    try:
        return next(csv.reader([line.rstrip("\r")], delimiter=delimiter), [])
    except csv.Error:
        return []


def ragged(asked: Asked, line: int, got: int, wanted: int, help: str = "") -> ValueError:
    """The error of a row that has more or fewer cells than the header."""
    return ValueError(f"{shown(asked.path)}, line {line}: {got} fields where the header has {wanted}{help}")
