"""The tables of a report as files: CSV to compute with, LaTeX for a paper, Markdown for a page."""

import csv
import io
import re
from collections.abc import Sequence
from pathlib import Path

from attention.files import write_atomic
from attention.lab.report import latex, markdown
from attention.lab.report.numbers import NONE
from attention.lab.report.parts import TABLES, Cell, Contents, Folded, Head, Table

NAMES = (
    *("verdicts", "rival", "pairs", "metrics", "lengths", "ledger", "interactions", "agreement", "trials", "failures"),
    *("splits", "classes", "hyperparameters", "references", "environment"),
)
FILES = [*(f"{name}.{ending}" for name in NAMES for ending in ("csv", "tex", "md")), "verdicts_more.tex"]


def save(workdir: Path, report: Contents) -> None:
    """Writes ``tables/NAME.csv``, ``.tex`` and ``.md`` for each table, and removes those that the report does not have."""
    found = {name: text for table in _tables(report) if table.rows for name, text in _files(table).items()}
    for name, text in found.items():
        write_atomic(workdir / TABLES / name, text.encode())
    for name in FILES:
        if name not in found:
            (workdir / TABLES / name).unlink(missing_ok=True)


def _files(table: Table) -> dict[str, str]:
    papers = {f"{one.name}.tex": latex.latex(one) for one in latex.tables(table)}
    return {f"{table.name}.csv": comma_separated(table), f"{table.name}.md": markdown.table(table) + "\n", **papers}


def _tables(report: Contents) -> list[Table]:
    parts = [part for section in report.sections for part in section.parts]
    return [part.table if isinstance(part, Folded) else part for part in parts if isinstance(part, Table | Folded)]


def comma_separated(table: Table) -> str:
    """A table as CSV: numbers in full, shares from 0 to 1, seconds and bytes; what is not known is empty."""
    sink = io.StringIO()
    writer = csv.writer(sink, lineterminator="\n")
    names = [_names(head) for head in table.heads]
    writer.writerow(name for several in names for name in several)
    for row in table.rows:
        columns = zip(row, table.heads, names)
        writer.writerow(value for cell, head, several in columns for value in _values(cell, head, len(several)))
    return sink.getvalue()


def _names(head: Head) -> Sequence[str]:
    return head.plain or (re.sub(r"[^a-z0-9]+", "_", head.text.lower()).strip("_"),)


def _values(cell: Cell, head: Head, count: int) -> list[float | int | str]:
    if cell.mark:
        return [cell.mark]
    if not head.number:
        return ["" if cell.text == NONE else cell.text]
    if cell.key is None:  # a word in the place of a number says why there is none
        return ["" if cell.text == NONE else cell.text, *[""] * (count - 1)]
    return [value if value is not None else "" for value in (cell.key, cell.other)[:count]]
