"""What the columns of the files are called that ``eval.py`` writes, and how it knows them when it reads one."""

import contextlib
import csv
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from attention.data import tables, unpacking
from attention.messages import quoted, shown

_SAID = re.compile(r"(predicted|written)(\(\d+\))?|p\(.*\)")  # columns of what a run says


def called(columns: Sequence[tables.Column], answers: str) -> list[str]:
    """Names of the columns of texts and, last, of answers: those of the run's files, where these have names."""
    return [given if isinstance(given, str) else name for given, name in zip(columns, usual(columns, answers))]


def usual(columns: Sequence[tables.Column], answers: str) -> list[str]:
    """The names where the run's files have none."""
    texts = range(len(columns) - 1)
    return [*("text" if len(texts) == 1 else f"text{number + 1}" for number in texts), answers]


def own(files: Sequence[Path], columns: Sequence[tables.Column], answers: str) -> tuple[str, ...] | None:
    """``columns`` by their names in files that ``eval.py --out`` wrote of such a run; None where one is another file.

    Texts stand first there, then what the run says, and last what is right, where that is known.
    """
    known = called(columns, answers), usual(columns, answers)
    found = set()
    for path in files:
        header = _header(path)
        texts, said, last = header[: len(columns) - 1], header[len(columns) - 1 : len(columns)], header[len(columns) :][-1:]
        if texts not in [names[:-1] for names in known] or not (said and _SAID.fullmatch(said[0])):
            return None
        found.add((*texts, *(last if last and last[0] in (known[0][-1], answers) else [answers])))
    return found.pop() if len(found) == 1 else None


def check(files: Sequence[Path], answer: tables.Column | None) -> None:
    """Raises ValueError where the column of answers of that number holds what a run said."""
    for path in files:
        name = "".join(_header(path)[answer : answer + 1]) if isinstance(answer, int) else ""
        if _SAID.fullmatch(name):
            what = f"column {answer} is {quoted(name)}, what a run said and not what is right"
            raise ValueError(f"{shown(path)}: {what}; --columns=TEXT,ANSWER names the columns")


def form(options: Mapping[str, Any], columns: Sequence[tables.Column | None], *, given: bool) -> tables.Form:
    """How files are written: as the ``options`` of the run's source say, but for what columns tell that are ``given``."""
    inherited = {name: options[name] for name in tables.Form._fields if name in options and (name == "encoding" or not given)}
    return tables.Form(**{"header": any(isinstance(each, str) for each in columns), **inherited})


@contextlib.contextmanager
def said_of(read: tables.Table) -> Iterator[None]:
    """Puts the file that a ValueError is about before its message; and the line, where it is about a text."""
    try:
        yield
    except ValueError as error:
        one = len(read.parts) == 1 and not read.parts[0].unit  # a file of which no lines are known
        said = None if one else re.match(r"text (\d+) \(counted from 0\)[: ]*(?=\S)", str(error))
        where = shown(read.parts[0].path) if said is None else read.place(int(said[1]))
        raise ValueError(f"{where}: {str(error)[said.end() if said else 0 :]}") from None


def _header(path: Path) -> list[str]:
    """The names in the first row of a file of a format that ``eval.py`` writes; none of another."""
    suffix = Path(unpacking.plain_name(path.name.lower())).suffix
    if suffix not in tables.WRITTEN or path.is_dir():
        return []
    content = unpacking.read(path).data.decode("utf-8-sig", "replace")
    if suffix == ".tsv":
        return content.split("\n", 1)[0].split("\t")
    try:
        if suffix == ".csv":
            return next(csv.reader(io.StringIO(content, newline="")), [])
        row = json.loads(content.split("\n", 1)[0])
        return list(row) if isinstance(row, dict) else []
    except (ValueError, RecursionError, csv.Error):  # which is said where it is read whole
        return []
