"""CSV as Python's csv module and spreadsheets write it, and the quotes that spreadsheets put into TSV."""

import csv
import io
import re
from collections.abc import Iterator
from typing import NamedTuple

from attention.data._rows import DELIMITERS, Asked, Row, fields, header_places, hint, ragged
from attention.messages import shown

_DOUBLED = "a quote inside a cell is doubled, and that cell stands in quotes"


class _Cells(NamedTuple):
    """A row of CSV, the last line it is on, and the column of labels and number of columns of the header."""

    row: Row
    last: int
    label_column: int | None
    width: int


def csv_rows(asked: Asked) -> Iterator[Row]:
    """The rows; refused where quotes that are not meant have swallowed some of them."""
    limit = csv.field_size_limit(2**31 - 1)  # the module's default refuses texts of more than 131,072 characters
    try:
        delimiter, skipped = _delimiter(asked)
        rows = list(_read(asked, delimiter, skipped))
    finally:
        csv.field_size_limit(limit)
    several = [cells for cells in rows if cells.last > cells.row.line]
    known = {cells.row.label for cells in rows if cells.last == cells.row.line} - {"", None}
    if not several or not known:
        return iter(cells.row for cells in rows)
    lines = asked.content.split("\n")
    return iter(_checked(asked, cells, lines[cells.row.line - 1 : cells.last - 1], known, delimiter) for cells in rows)


def _delimiter(asked: Asked) -> tuple[str, int]:
    """What separates the cells, and how many lines stand above the header."""
    first = asked.content.split("\n", 1)[0]
    if said := re.fullmatch(r'"?sep=(.)"?\r?', first, re.IGNORECASE):  # what Excel writes for itself
        return said[1], 1
    wanted = (asked.text,) if asked.optional else (asked.text, asked.label)
    return next((sign for sign in DELIMITERS if all(name in fields(first, sign) for name in wanted)), ","), 0


def _read(asked: Asked, delimiter: str, skipped: int) -> Iterator[_Cells]:
    content = asked.content.split("\n", skipped)[-1].rstrip("\r\n")
    reader = csv.reader(io.StringIO(content, newline=""), strict=True, delimiter=delimiter)
    begin = 1 + skipped
    try:
        header = next(reader, [])
        text_column, label_column = header_places(asked, header)
        begin = reader.line_num + 1 + skipped
        for cells in reader:
            if len(cells) != len(header):
                raise ragged(asked, begin, len(cells), len(header))
            row = Row(begin, cells[text_column], None if label_column is None else cells[label_column])
            yield _Cells(row, reader.line_num + skipped, label_column, len(header))
            begin = reader.line_num + 1 + skipped
    except csv.Error as error:
        if begin == 1 + skipped:
            raise ValueError(f"{shown(asked.path)}, line {begin}: not CSV: {error}{hint(asked)}") from None
        last = reader.line_num + skipped
        until = f" (its row goes on to line {last})" if last > begin else ""
        raise ValueError(f"{shown(asked.path)}, line {begin}: not CSV: {error}{until}; {_DOUBLED}") from None


def _checked(asked: Asked, cells: _Cells, lines: list[str], known: set[str | None], delimiter: str) -> Row:
    """The row. Two of its lines that would be rows with a label that others have are two rows that were swallowed."""
    split = [fields(line.replace('"', ""), delimiter) for line in lines]
    place = cells.label_column
    alike = sum(len(each) == cells.width and each[place] in known for each in split) if place is not None else 0
    found = f"up to line {cells.last} is one row, and {alike} of its lines look like rows of their own"
    if alike > 1:
        raise ValueError(f"{shown(asked.path)}, line {cells.row.line}: {found}: a quote there is not meant; {_DOUBLED}")
    return cells.row._replace(note=f"{found}: is a quote there not meant?") if alike else cells.row


def quoted_cells(content: str) -> bool:
    """Whether all cells of a TSV that begin with a quote are whole, and some hold doubled ones, as spreadsheets write them."""
    cells = re.findall(r'(?:^|\t)("[^\t\r\n]*)', content, re.MULTILINE)
    return any('""' in cell[1:-1] for cell in cells) and all(re.fullmatch(r'"(?:[^"]|"")*"', cell) for cell in cells)
