"""Lines of cells: TSV, and CSV as Python's csv module and spreadsheets write it."""

import csv
import io
import itertools
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from attention.data.formats.rows import DELIMITERS, Asked, MissingColumnError, Row, fields, lines, places
from attention.data.segments import joined
from attention.messages import plain, quoted, shown

_DOUBLED = "a quote inside a cell is doubled, and that cell stands in quotes; quotes=False reads them as they stand"
_SHEET = (
    "cells in quotes, as spreadsheets write them, are read with their quotes in TSV; quotes=True, or naming it .csv, loses them"
)
_NOTHING = "\x1f"  # separates the cells of a file of one column, so that its texts may hold any delimiter
_SAMPLE = 200  # lines by which a delimiter is told


class _Layout(NamedTuple):
    """How a file is laid out: what separates its cells, whether quotes do, whether its first row names the columns.

    ``skipped`` lines stand above that.
    """

    delimiter: str
    quotes: bool
    header: bool
    skipped: int


class _Cells(NamedTuple):
    """A row of cells, and the first and last line it is on."""

    cells: list[str]
    first: int
    last: int


def rows(asked: Asked, content: str, *, tsv: bool) -> Iterator[Row]:
    """The rows, numbered by their first lines; refused where quotes that are not meant have swallowed some of them.

    Args:
      asked: the file; ``form.quotes`` may be None.
      content: of it.
      tsv: whether its name says that TABs separate its cells and quotes are signs as others.
    """
    if not content.strip():
        raise ValueError(f"{shown(asked.path)}: there is nothing in it")
    quotes = not tsv if asked.form.quotes is None else asked.form.quotes
    limit = csv.field_size_limit(2**31 - 1)  # the module's default refuses texts of more than 131,072 characters
    try:
        layout = _layout(asked, content, tsv=tsv, quotes=quotes)
        read = _quoted(asked, content, layout) if quotes else _unquoted(content, layout)
        read = itertools.dropwhile(_is_blank, read)
        found = list(_rows(asked, content, layout, read))
    finally:
        csv.field_size_limit(limit)
    if not layout.header and asked.form.header is None:
        _check_no_header(asked, found)
    return iter(_checked(asked, content, layout, found) if quotes else _with_note(content, found, layout.delimiter))


def _layout(asked: Asked, content: str, *, tsv: bool, quotes: bool) -> _Layout:
    header = bool(asked.named) if asked.form.header is None else asked.form.header
    first = _first_line(content)
    if said := re.fullmatch(r'"?sep=(.)"?', first, re.IGNORECASE):  # what Excel writes for itself
        return _Layout(said[1], quotes, header, 1)
    given = asked.form.delimiter or ("\t" if tsv else None)
    return _Layout(given or _told(asked, content, first, header=header, quotes=quotes), quotes, header, 0)


def _first_line(content: str) -> str:
    """The first line with anything on it."""
    found = re.search(r"[^\r\n]+", content[:1_000_000])
    return found[0] if found else ""


def _told(asked: Asked, content: str, first: str, *, header: bool, quotes: bool) -> str:
    """The delimiter under which the first line names the columns, or else the first lines have equally many cells."""
    if asked.named and header:
        split = {sign: [cell.strip() for cell in fields(first, sign)] for sign in DELIMITERS}
        fitting = [sign for sign, cells in split.items() if all(name in cells for name in asked.named)]
        if fitting and all(len(cells) == 1 for cells in split.values()):
            return _NOTHING
        return fitting[0] if fitting else ","
    sample = content[: 1 << 20].split("\n")[:_SAMPLE]
    least = max(column for column in (*asked.columns, 1) if isinstance(column, int)) + 1
    widths = {sign: _widths("\n".join(sample), sign, quotes=quotes) for sign in DELIMITERS}
    fitting = [sign for sign, found in widths.items() if len(found) == 1 and max(found) >= least]
    if len(fitting) == 1:
        return fitting[0]
    seen = ", ".join(f"{max(found)} by a {DELIMITERS[sign]}" for sign, found in widths.items() if max(found, default=0) > 1)
    what = "more than one delimiter fits" if fitting else "no delimiter gives its first lines equally many cells"
    say = " or ".join(f"delimiter={sign!r}" for sign in fitting or DELIMITERS) + ", or name it .tsv where TABs do"
    raise ValueError(
        f"{shown(asked.path)}: cannot tell what separates the cells, {what} (cells at most: {seen or 1}); say {say}"
    )


def _widths(sample: str, delimiter: str, *, quotes: bool) -> Counter[int]:
    """How many of the rows have how many cells; the last row is left out, since it may be cut."""
    if not quotes:
        rows = [line.split(delimiter) for line in sample.split("\n")]
    else:
        try:
            rows = list(csv.reader(io.StringIO(sample, newline=""), delimiter=delimiter))
        except csv.Error:
            return Counter()
    kept = [row for row in rows if any(cell.strip() for cell in row)]
    return Counter(map(len, kept[:-1] or kept))


def _unquoted(content: str, layout: _Layout) -> Iterator[_Cells]:
    for number, line in itertools.islice(lines(content), layout.skipped, None):
        yield _Cells(line.split(layout.delimiter), number, number)


def _quoted(asked: Asked, content: str, layout: _Layout) -> Iterator[_Cells]:
    stream = io.StringIO(content.split("\n", layout.skipped)[-1].rstrip("\r\n"), newline="")
    reader = csv.reader(stream, strict=True, delimiter=layout.delimiter)
    begin = 1 + layout.skipped
    try:
        for cells in reader:
            last = reader.line_num + layout.skipped
            yield _Cells(cells, begin, last)
            begin = last + 1
    except csv.Error as error:
        last = reader.line_num + layout.skipped
        until = f" (its row goes on to line {last})" if last > begin else ""
        first = begin == 1 + layout.skipped  # which would name the columns
        kind, why = (MissingColumnError, hint(asked, content)) if first else (ValueError, f"{until}; {_DOUBLED}")
        raise kind(f"{shown(asked.path)}, line {begin}: not CSV: {plain(str(error))}{why}") from None


class _Found(NamedTuple):
    """A row, the last line it is on, and the column of labels and number of columns of its file."""

    row: Row
    last: int
    label_column: int | None
    width: int


def _rows(asked: Asked, content: str, layout: _Layout, read: Iterator[_Cells]) -> Iterator[_Found]:
    first = next(read)
    width = len(first.cells)
    texts, label = places(asked, first.cells if layout.header else [""] * width, hint=hint(asked, content, layout.delimiter))
    for each in read if layout.header else itertools.chain([first], read):
        cells = each.cells or [""]
        if len(cells) != width or not cells[texts[0]].strip():
            if width > 1 and _is_blank(each):  # an empty line, or one of a sheet's empty rows
                continue
            if len(cells) != width:
                has = "the header" if layout.header else f"line {first.first}"
                what = f"{len(cells)} fields where {has} has {width}{_why_ragged(cells, width, layout)}"
                raise ValueError(f"{shown(asked.path)}, line {each.first}: {what}")
        text = joined([cells[place] for place in texts])
        yield _Found(Row(each.first, text, None if label is None else cells[label]), each.last, label, width)


def _is_blank(row: _Cells) -> bool:
    return not any(cell.strip() for cell in row.cells)


def _why_ragged(cells: Sequence[str], width: int, layout: _Layout) -> str:
    if layout.quotes:
        name = DELIMITERS.get(layout.delimiter, quoted(layout.delimiter))
        return f"; a cell with a {name} in it stands in quotes" if len(cells) > width else ""
    return f"; {_SHEET}" if sum(cell.count('"') for cell in cells) % 2 else ""


def _check_no_header(asked: Asked, found: Sequence[_Found]) -> None:
    """Raises ValueError where the first row looks like names of columns: its label is no other's, and those repeat."""
    labels = Counter(each.row.label for each in found)
    first = found[0].row if found else None
    if first and first.label and labels[first.label] == 1 and len(labels) < len(found):
        raise ValueError(
            f"{shown(asked.path)}, line {first.number}: no other line has the label {quoted(first.label)}; say header=True"
            " where this line names the columns, else header=False"
        )


def _checked(asked: Asked, content: str, layout: _Layout, found: Sequence[_Found]) -> Iterator[Row]:
    """The rows. Two lines of one that would be rows with a label that others have are two rows that were swallowed."""
    several = any(each.last > each.row.number for each in found)
    known = {each.row.label for each in found if each.last == each.row.number} - {"", None} if several else set()
    every = [line.rstrip("\r\n") for line in io.StringIO(content, newline="")] if known else []  # as csv counts them
    for row, last, place, width in found:
        if last == row.number or place is None:
            yield row
            continue
        split = [fields(line.replace('"', ""), layout.delimiter) for line in every[row.number - 1 : last - 1]]
        alike = sum(len(each) == width and each[place] in known for each in split)
        what = f"up to line {last} is one row, and {alike} of its lines look like rows of their own"
        if alike > 1:
            raise ValueError(f"{shown(asked.path)}, line {row.number}: {what}: a quote there is not meant; {_DOUBLED}")
        yield row._replace(note=f"{what}: is a quote there not meant?") if alike else row


def _with_note(content: str, found: Sequence[_Found], delimiter: str) -> Iterator[Row]:
    sheet = delimiter == "\t" and _quoted_cells(content)
    for each in found:
        yield each.row._replace(note=_SHEET) if sheet and each.row.text.startswith('"') else each.row


def _quoted_cells(content: str) -> bool:
    """Whether all cells of a TSV that begin with a quote are whole, and some hold doubled ones, as spreadsheets write them."""
    cells = re.findall(r'(?:^|\t)("[^\t\r\n]*)', content, re.MULTILINE)
    return any('""' in cell[1:-1] for cell in cells) and all(re.fullmatch(r'"(?:[^"]|"")*"', cell) for cell in cells)


def hint(asked: Asked, content: str, delimiter: str | None = None) -> str:
    """What a file is that has not the columns its name promises."""
    begin = content[:200].lstrip()
    if begin.startswith("{"):
        return "; it looks like JSON Lines: name it .jsonl"
    if begin.startswith("<"):
        return "; it looks like a page of HTML or XML"
    first = _first_line(content)[:10_000]
    others = {sign: fields(first, sign) for sign in DELIMITERS if sign != delimiter}
    found = next((sign for sign, cells in others.items() if asked.named and asked.named[0] in cells and len(cells) > 1), None)
    if found:
        help = "name it .csv" if asked.form.delimiter is None else f"delimiter={found!r} reads it"
        return f"; they are separated by a {DELIMITERS[found]}: {help}"
    return "; its first line has to name them"
