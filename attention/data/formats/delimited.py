"""Lines of cells: TSV, and CSV as Python's csv module and spreadsheets write it."""

import csv
import io
import itertools
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from attention.data.file_text import Content
from attention.data.formats.rows import DELIMITERS, Asked, Block, Label, MissingColumnError, fields, lines, places
from attention.data.segments import joined
from attention.messages import plain, quoted, shown

_DOUBLED = "a quote inside a cell is doubled, and that cell stands in quotes; quotes=False reads them as they stand"
_SHEET = (
    "cells in quotes, as spreadsheets write them, are read with their quotes in TSV; quotes=True, or naming it .csv, loses them"
)
_NOTHING = "\x1f"  # separates the cells of a file of one column, so that its texts may hold any delimiter
_ROWS = 4096  # of a block
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
    """Some rows of cells, and the first and last line that each is on."""

    rows: list[list[str]]
    firsts: list[int]
    lasts: list[int]

    def only(self, chosen: Sequence[int]) -> "_Cells":
        """Some of them."""
        rows, firsts, lasts = self
        return _Cells([rows[each] for each in chosen], [firsts[each] for each in chosen], [lasts[each] for each in chosen])


def blocks(asked: Asked, content: Content, *, tsv: bool) -> Iterator[Block]:
    """The rows, numbered by their first lines; refused where quotes that are not meant have swallowed some of them.

    Args:
      asked: the file; ``form.quotes`` may be None.
      content: of it.
      tsv: whether its name says that TABs separate its cells and quotes are signs as others.
    """
    if content.is_blank():
        raise ValueError(f"{shown(asked.path)}: there is nothing in it")
    quotes = not tsv if asked.form.quotes is None else asked.form.quotes
    limit = csv.field_size_limit(2**31 - 1)  # the module's default refuses texts of more than 131,072 characters
    try:
        layout = _layout(asked, content, tsv=tsv, quotes=quotes)
        read = _quoted(asked, content, layout) if quotes else _unquoted(content, layout)
        yield from _blocks(asked, content, layout, read)
    finally:
        csv.field_size_limit(limit)


def _layout(asked: Asked, content: Content, *, tsv: bool, quotes: bool) -> _Layout:
    header = bool(asked.named) if asked.form.header is None else asked.form.header
    first = _first_line(content)
    if said := re.fullmatch(r'"?sep=(.)"?', first, re.IGNORECASE):  # what Excel writes for itself
        return _Layout(said[1], quotes, header, 1)
    given = asked.form.delimiter or ("\t" if tsv else None)
    return _Layout(given or _told(asked, content, first, header=header, quotes=quotes), quotes, header, 0)


def _first_line(content: Content) -> str:
    """The first line with anything on it."""
    found = re.search(r"[^\r\n]+", content.begin(1_000_000))
    return found[0] if found else ""


def _told(asked: Asked, content: Content, first: str, *, header: bool, quotes: bool) -> str:
    """The delimiter under which the first line names the columns, or else the first lines have equally many cells."""
    if asked.named and header:
        split = {sign: [cell.strip() for cell in fields(first, sign)] for sign in DELIMITERS}
        fitting = [sign for sign, cells in split.items() if all(name in cells for name in asked.named)]
        if fitting and all(len(cells) == 1 for cells in split.values()):
            return _NOTHING
        return fitting[0] if fitting else ","
    sample = content.begin(1 << 20).split("\n")[:_SAMPLE]
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


def _unquoted(content: Content, layout: _Layout) -> Iterator[_Cells]:
    read = itertools.islice(lines(content), layout.skipped, None)
    while some := list(itertools.islice(read, _ROWS)):
        numbers = [number for number, _ in some]
        yield _Cells([line.split(layout.delimiter) for _, line in some], numbers, numbers)


def _quoted(asked: Asked, content: Content, layout: _Layout) -> Iterator[_Cells]:
    reader = csv.reader(content.lines(newline="", skip=layout.skipped), strict=True, delimiter=layout.delimiter)
    last = layout.skipped
    while True:
        rows, lasts, failed = [], [], None
        try:
            for cells in itertools.islice(reader, _ROWS):
                rows.append(cells)
                lasts.append(reader.line_num + layout.skipped)
        except csv.Error as error:
            failed = error
        if rows:
            yield _Cells(rows, [each + 1 for each in (last, *lasts[:-1])], lasts)
            last = lasts[-1]
        if failed is not None:
            begin, end = last + 1, reader.line_num + layout.skipped
            until = f" (its row goes on to line {end})" if end > begin else ""
            first = begin == 1 + layout.skipped  # which would name the columns
            kind, why = (MissingColumnError, hint(asked, content)) if first else (ValueError, f"{until}; {_DOUBLED}")
            raise kind(f"{shown(asked.path)}, line {begin}: not CSV: {plain(str(failed))}{why}") from None
        if not rows:
            return


class _Several(NamedTuple):
    """The lines of rows on several, and hashes of the labels of others: what tells that quotes have swallowed rows."""

    rows: list[tuple[int, int]]
    known: set[int]

    def add(self, some: _Cells, block: Block) -> None:
        """Looks at some more rows."""
        long = [last > first for first, last in zip(some.firsts, some.lasts)]
        self.rows.extend(itertools.compress(zip(some.firsts, some.lasts), long))
        self.known.update(hash(label) for label, several in zip(block.labels, long) if label and not several)


class _Labels:
    """How often each label is there, and that of the first row."""

    def __init__(self):
        self._counts, self._first = Counter[Label | None](), None

    def add(self, block: Block) -> None:
        """Those of some more rows."""
        self._first = self._first or (block.numbers[0], block.labels[0])
        self._counts.update(block.labels)

    def check(self, asked: Asked) -> None:
        """Raises ValueError where the first row looks like names of columns: its label is no other's, and those repeat."""
        number, label = self._first or (0, None)
        if label and self._counts[label] == 1 and len(self._counts) < self._counts.total():
            raise ValueError(
                f"{shown(asked.path)}, line {number}: no other line has the label {quoted(label)}; say header=True"
                " where this line names the columns, else header=False"
            )


def _blocks(asked: Asked, content: Content, layout: _Layout, read: Iterator[_Cells]) -> Iterator[Block]:
    read = _without_blank_begin(read)
    head = next(read, None)
    if head is None:
        return
    names, line = head.rows[0], head.firsts[0]
    given = names if layout.header else [""] * len(names)
    texts, label = places(asked, given, hint=hint(asked, content, layout.delimiter))
    several, labels, sheet = _Several([], set()), _Labels(), None
    for some in itertools.chain([head.only(range(1, len(head.rows))) if layout.header else head], read):
        kept = _even(asked, some, len(names), texts[0], line, layout)
        if not kept.rows:
            continue
        made = _block(kept, texts, label)
        if layout.quotes and label is not None:
            several.add(kept, made)
        if not layout.quotes and sheet is None:
            sheet = next((number for number, text in zip(made.numbers, made.texts) if text.startswith('"')), None)
        if not layout.header and asked.form.header is None:
            labels.add(made)
        yield made
    labels.check(asked)
    note = None
    if several.rows and label is not None:
        note = _swallowed(asked, content, layout, several, label, len(names))
    elif sheet is not None and layout.delimiter == "\t" and _quoted_cells(content):
        note = sheet, _SHEET
    if note is not None:
        yield Block([], [], [], note)


def _without_blank_begin(read: Iterator[_Cells]) -> Iterator[_Cells]:
    """The rows from the first on that is not blank."""
    for some in read:
        begin = next((number for number, row in enumerate(some.rows) if any(map(str.strip, row))), None)
        if begin is not None:
            yield some.only(range(begin, len(some.rows)))
            yield from read


def _even(asked: Asked, some: _Cells, width: int, text: int, head: int, layout: _Layout) -> _Cells:
    """The rows that are not blank. Raises ValueError for one that is wider than the first, or not so wide."""
    if set(map(len, some.rows)) == {width} and all(row[text].strip() for row in some.rows):
        return some
    kept = []
    for number, row in enumerate(some.rows):
        cells = row or [""]
        some.rows[number] = cells
        if len(cells) != width or not cells[text].strip():
            if width > 1 and not any(map(str.strip, cells)):  # an empty line, or one of a sheet's empty rows
                continue
            if len(cells) != width:
                has = "the header" if layout.header else f"line {head}"
                what = f"{len(cells)} fields where {has} has {width}{_why_ragged(cells, width, layout)}"
                raise ValueError(f"{shown(asked.path)}, line {some.firsts[number]}: {what}")
        kept.append(number)
    return some.only(kept)


def _block(some: _Cells, texts: Sequence[int], label: int | None) -> Block:
    [text, *more] = texts
    found = [row[text] for row in some.rows] if not more else [joined([row[place] for place in texts]) for row in some.rows]
    return Block(some.firsts, found, [None] * len(found) if label is None else [row[label] for row in some.rows])


def _why_ragged(cells: Sequence[str], width: int, layout: _Layout) -> str:
    if layout.quotes:
        name = DELIMITERS.get(layout.delimiter, quoted(layout.delimiter))
        return f"; a cell with a {name} in it stands in quotes" if len(cells) > width else ""
    return f"; {_SHEET}" if sum(cell.count('"') for cell in cells) % 2 else ""


def _swallowed(
    asked: Asked, content: Content, layout: _Layout, several: _Several, label: int, width: int
) -> tuple[int, str] | None:
    """The first row one of whose lines would be a row with a label that others have, with a note.

    Raises:
      ValueError: for one with two such lines, which are rows that were swallowed.
    """
    if not several.known:
        return None
    note, rows = None, iter(several.rows)
    first, last = next(rows)
    alike = 0
    for number, line in enumerate(content.lines(newline=""), 1):  # as csv counts them
        if first <= number < last:
            cells = fields(line.rstrip("\r\n").replace('"', ""), layout.delimiter)
            alike += len(cells) == width and hash(cells[label]) in several.known
        if number == last:
            what = f"up to line {last} is one row, and {alike} of its lines look like rows of their own"
            if alike > 1:
                raise ValueError(f"{shown(asked.path)}, line {first}: {what}: a quote there is not meant; {_DOUBLED}")
            note = note or ((first, f"{what}: is a quote there not meant?") if alike else None)
            first, last = next(rows, (0, 0))
            alike = 0
    return note


def _quoted_cells(content: Content) -> bool:
    """Whether all cells of a TSV that begin with a quote are whole, and some hold doubled ones, as spreadsheets write them."""
    doubled = False
    for line in content.lines(newline="\n"):
        for cell in re.findall(r'(?:^|\t)("[^\t\r\n]*)', line):
            if not re.fullmatch(r'"(?:[^"]|"")*"', cell):
                return False
            doubled = doubled or '""' in cell[1:-1]
    return doubled


def hint(asked: Asked, content: Content, delimiter: str | None = None) -> str:
    """What a file is that has not the columns its name promises."""
    begin = content.begin(200).lstrip()
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
