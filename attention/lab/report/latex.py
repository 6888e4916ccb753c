r"""Tables for LaTeX papers: they compile whatever a name holds, and are read on a line of 345 points, that of an article.

Columns that are too many for the line stand below the others, under the names of the rows again. Each file needs ``booktabs``,
``graphicx`` and ``array``.
"""

import math
import re
import textwrap
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from attention.lab.report.latex_text import UNICODE, in_latex, length
from attention.lab.report.numbers import NONE
from attention.lab.report.parts import Cell, Head, Table

_LINE = 47  # em of \footnotesize: a line of 345 points has 41, and so the letters shrink from 8 points to 7 at the most
_GAP = 1  # em between two columns
_LETTERS = (68, 34, 28, 20, 15)  # of the lines that a column of text is set in, the widest that the table has room for
_HEIGHT = 38  # lines of a part: as many as a page holds


class _Column(NamedTuple):
    """A column as it is set: ``letters`` of a line, 0 where nothing is broken, and ``width`` in em."""

    place: int
    letters: int
    width: float
    head: Sequence[str]
    number: bool


def tables(shown: Table) -> list[Table]:
    """The table, or two: columns that are joined are one, and those that stand aside make ``NAME_more``."""
    joined = _joined(shown)
    kept, aside = ([place for place, head in enumerate(joined.heads) if head.aside == wanted] for wanted in (False, True))
    more = [_columns(joined, [0, *aside])._replace(name=f"{shown.name}_more")] if aside else []
    return [_columns(joined, kept), *more]


def _columns(shown: Table, places: Sequence[int]) -> Table:
    rows = [[row[place] for place in places] for row in shown.rows]
    return shown._replace(heads=[shown.heads[place] for place in places], rows=rows)


def _joined(shown: Table) -> Table:
    heads: list[Head] = []
    rows: list[list[Cell]] = [[] for _ in shown.rows]
    for place, head in enumerate(shown.heads):
        if not head.joins:
            heads.append(head)
            for row, cells in zip(rows, shown.rows):
                row.append(cells[place])
        else:
            heads[-1] = heads[-1]._replace(text=heads[-1].text + (head.joins if head.joins.strip() else ", ") + head.text)
            for row, cells in zip(rows, shown.rows):
                known = [text for text in (row[-1].text, cells[place].text) if text != NONE]
                row[-1] = Cell(head.joins.join(known) or NONE)
    return shown._replace(heads=heads, rows=rows)


def latex(shown: Table) -> str:
    r"""A table as ``\input`` takes it, in parts where it has more columns than the line holds, or more rows than a page."""
    columns = _set(shown)
    parts = [(rows, group) for rows in _pages(shown.rows, columns) for group in _groups(columns)]
    text = "\n\\medskip\n".join(_part(group, rows) for rows, group in parts)
    long = sum(_lines(row, group) for rows, group in parts for row in rows) + 3 * len(parts) > _HEIGHT + 3
    lines = [f"% {_comment(shown.caption)}", r"% \usepackage{booktabs,graphicx,array}"]
    lines += ["% not within a float: longer than a page"] if long else []
    return "\n".join([*lines, *([UNICODE] if r"\unicodesign{" in text else []), text]) + "\n"


def _set(shown: Table) -> list[_Column]:
    """The columns, those of text as wide as there is room for; where they need a second line, as they stand in it."""
    tried = [[_column(shown, place, letters) for place in range(len(shown.heads))] for letters in _LETTERS]
    return next((columns for columns in tried if _width(columns) <= _LINE), tried[2])


def _column(shown: Table, place: int, letters: int) -> _Column:
    head, texts = shown.heads[place], [row[place].text for row in shown.rows]
    longest = max(map(length, texts), default=0)
    broken = not head.number and longest > letters
    name = re.sub(r"(?<=\d %) | (?=%)", "\N{NO-BREAK SPACE}", head.text)  # "95 % interval" and "accuracy, %" stay together
    words = max(map(len, name.split(" ")), default=0)
    title = textwrap.wrap(name, max(words, min(letters, longest)), break_long_words=False, break_on_hyphens=False)
    width = letters / 2 if broken else max(map(_em, texts), default=0)
    return _Column(place, letters if broken else 0, max([width, *map(_em, title)]), title, head.number)


def _em(text: str) -> float:
    """About the width of a text in the letters of TeX, which has them at hand only when it is too late to choose."""
    return sum(0.3 if sign in " .,:;'|!()[]ijlt" else 0.8 if sign in "+-<>±≈○▲▼mwMW%" else 0.5 * length(sign) for sign in text)


def _width(columns: Sequence[_Column]) -> float:
    return sum(column.width + _GAP for column in columns) - _GAP


def _groups(columns: Sequence[_Column]) -> list[list[_Column]]:
    """The columns in as few groups as the line allows, about as wide as each other."""
    fewest = len(_filled(columns, _LINE))
    return next(found for width in range(_LINE + 1) if len(found := _filled(columns, width)) == fewest)


def _filled(columns: Sequence[_Column], width: float) -> list[list[_Column]]:
    """The columns in groups of such a width, each after the first column, which names the rows."""
    groups = [[columns[0]]]
    for column in columns[1:]:
        if len(groups[-1]) > 1 and _width([*groups[-1], column]) > width:
            groups.append([columns[0]])
        groups[-1].append(column)
    return groups


def _pages(rows: Sequence[Sequence[Cell]], columns: Sequence[_Column]) -> list[list[Sequence[Cell]]]:
    """The rows in parts of the height of a page."""
    pages, height = [[]], 0
    for row in rows:
        lines = _lines(row, columns)
        if pages[-1] and height + lines > _HEIGHT:
            pages, height = [*pages, []], 0
        pages[-1].append(row)
        height += lines
    return pages


def _lines(row: Sequence[Cell], columns: Sequence[_Column]) -> int:
    """Lines of a row; those of words are not full to the end."""
    return max(math.ceil(length(row[one.place].text) / (0.85 * one.letters)) if one.letters else 1 for one in columns)


def _part(columns: Sequence[_Column], rows: Sequence[Sequence[Cell]]) -> str:
    """A part of a table: measured in a box, and made smaller where that is wider than the line."""
    begin = [
        r"\begingroup\footnotesize\setlength{\tabcolsep}{0.5em}",
        r"\setbox0\hbox{%",
        rf"\begin{{tabular}}{{@{{}}{''.join(map(_kind, columns))}@{{}}}}",
        r"\toprule",
        _row(map(_title, columns)),
        r"\midrule",
    ]
    end = [
        r"\bottomrule",
        r"\end{tabular}}%",
        r"\noindent\ifdim\wd0>\linewidth\resizebox{\linewidth}{!}{\box0}\else\box0\fi\endgroup\par",
    ]
    return "\n".join([*begin, *(_row(_cell(row[one.place], one) for one in columns) for row in rows), *end])


def _kind(column: _Column) -> str:
    if column.number:
        return "r"
    return rf">{{\raggedright\arraybackslash}}p{{{column.letters / 2:.1f}em}}" if column.letters else "l"


def _title(column: _Column) -> str:
    """The head, in lines where the cells are narrower."""
    lines = r" \\ ".join(map(in_latex, column.head))
    align = "r" if column.number else "l"
    return rf"\begin{{tabular}}[b]{{@{{}}{align}@{{}}}}{lines}\end{{tabular}}" if len(column.head) > 1 else lines


def _cell(cell: Cell, column: _Column) -> str:
    if cell.text == NONE:
        return "--"
    if column.number:
        return re.sub(r"-\{\}(?=\d)", "$-$", in_latex(cell.text)).replace("+", "$+$")
    return in_latex(cell.text, breaks=column.letters > 0)


def _row(cells: Iterable[str]) -> str:
    return f"{' & '.join(cells)} \\\\"


def _comment(text: str) -> str:
    return " ".join(text.split()).encode("ascii", "replace").decode()
