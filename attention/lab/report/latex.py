"""Tables for LaTeX papers: whatever a name holds, they compile under pdfTeX, XeTeX and LuaTeX, and fit the line.

Each file needs ``booktabs``, ``graphicx`` and ``array``, and defines nothing but ``\\unicodesign``, which shows a sign that the
font has and the number of one that it has not.
"""

import functools
import re
import unicodedata
from collections.abc import Iterable, Sequence

from attention.lab.report.numbers import MINUS, NONE
from attention.lab.report.parts import Head, Table

_WIDE = 38  # characters above which a column of text is set in lines
_LINE = 34  # of these lines
_WORD = 16  # letters of a word above which it may be broken
_ROWS = 38  # of a part: as many as a page holds
_SIGNS = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\char34{}",  # babel gives the sign another meaning in some languages
    "'": "'{}",
    "`": r"{}\char96{}",
    "-": "-{}",  # two are not a dash
    "[": "{[}",  # after the end of a row, these would be its options
    "]": "{]}",
    "*": "{*}",
    MINUS: "$-$",
    "–": r"\textendash{}",
    "—": r"\textemdash{}",
    "“": r"\textquotedblleft{}",
    "”": r"\textquotedblright{}",
    "‘": r"\textquoteleft{}",
    "’": r"\textquoteright{}",
    "…": r"\ldots{}",
    "±": r"$\pm$",
    "×": r"$\times$",
    "·": r"$\cdot$",
    "≤": r"$\le$",
    "≥": r"$\ge$",
    "≠": r"$\ne$",
    "≈": r"$\approx$",
    "∞": r"$\infty$",
    "√": r"$\surd$",
    "→": r"$\rightarrow$",
    "▲": r"$\triangle$",
    "▼": r"$\bigtriangledown$",
    "○": r"$\circ$",
    "$": r"\char36{}",  # the command takes it from a font that may be there as bitmaps alone
    **{sign: f"\\{sign}" for sign in "&%#_{}"},
}
_ACCENTS = {"\u0300": "`", "\u0301": "'", "\u0302": "^", "\u0303": "~", "\u0308": '"', "\u0304": "=", "\u0307": "."}
_ACCENTS |= {"\u030a": "r", "\u030b": "H", "\u030c": "v", "\u0306": "u", "\u0327": "c", "\u0328": "k"}
_GREEK = {
    sign: rf"$\{name}$"
    for signs, names in (
        (
            "αβγδεζηθικλμνξπρστυφχψω",
            "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau"
            " upsilon phi chi psi omega",
        ),
        ("ΓΔΘΛΞΠΣΥΦΨΩ", "Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega"),
    )
    for sign, name in zip(signs, names.split(), strict=True)
}
_UNICODE = (
    r"\providecommand{\unicodesign}[2]{\ifdefined\Umathchar\iffontchar\font"
    '"#1 #2\\else\\texttt{U+#1}\\fi\\else\\texttt{U+#1}\\fi\\allowbreak{}}'
)


def latex(shown: Table) -> str:
    """A table as ``\\input`` takes it, no wider than the line; one of many rows in parts, so that it breaks over pages."""
    parts = [shown.rows[start : start + _ROWS] for start in range(0, len(shown.rows), _ROWS)] or [[]]
    widths = [_line_width(shown, place) for place in range(len(shown.heads))]
    columns = "".join(map(_column, shown.heads, widths))
    title = _row(rf"\textbf{{{in_latex(head.text)}}}" for head in shown.heads)
    bodies = [[_row(_cells(shown, row, widths)) for row in part] for part in parts]
    text = "\n\\medskip\n".join(_part(columns, title, body) for body in bodies)
    lines = [f"% {_comment(shown.caption)}", "% \\usepackage{booktabs,graphicx,array}"]
    return "\n".join([*lines, *([_UNICODE] if r"\unicodesign{" in text else []), text]) + "\n"


def _part(columns: str, title: str, body: Sequence[str]) -> str:
    """A part of a table: measured in a box, and made smaller where that is wider than the line."""
    begin = [
        r"\begingroup\small",
        r"\setbox0\hbox{%",
        rf"\begin{{tabular}}{{@{{}}{columns}@{{}}}}",
        r"\toprule",
        title,
        r"\midrule",
    ]
    end = [
        r"\bottomrule",
        r"\end{tabular}}%",
        r"\noindent\ifdim\wd0>\linewidth\resizebox{\linewidth}{!}{\box0}\else\box0\fi\endgroup\par",
    ]
    return "\n".join([*begin, *body, *end])


def _column(head: Head, width: int) -> str:
    return "r" if head.number else rf">{{\raggedright\arraybackslash}}p{{{width / 2:.1f}em}}" if width else "l"


def _line_width(shown: Table, place: int) -> int:
    """Characters of the lines of a column of long texts; 0 for another."""
    longest = max((len(row[place].text) for row in shown.rows), default=0)
    return 0 if shown.heads[place].number or longest <= _WIDE else _LINE if longest <= 4 * _LINE else 2 * _LINE


def _cells(shown: Table, row: Sequence, widths: Sequence[int]) -> Iterable[str]:
    for cell, head, width in zip(row, shown.heads, widths):
        if cell.text == NONE:
            yield "--"
        elif head.number:
            yield re.sub(r"-\{\}(?=\d)", "$-$", in_latex(cell.text)).replace("+", "$+$")
        else:
            yield in_latex(cell.text, breaks=width > 0)


def _row(cells: Iterable[str]) -> str:
    return f"{' & '.join(cells)} \\\\"


def _comment(text: str) -> str:
    return " ".join(text.split()).encode("ascii", "replace").decode()


def in_latex(text: str, *, breaks: bool = False) -> str:
    """Text as LaTeX shows it.

    Args:
      text: whatever a name holds; runs of white space are blanks.
      breaks: whether a line may end within a long word: after a sign, or where so many letters went by.
    """
    words = unicodedata.normalize("NFC", text).split()
    return " ".join(_broken(word) if breaks and len(word) > _WORD else "".join(map(_sign, word)) for word in words)


def _broken(word: str) -> str:
    pieces = re.findall(rf"\w{{1,{_WORD}}}\W?|\W", word)
    return r"\allowbreak{}".join("".join(map(_sign, piece)) for piece in pieces)


@functools.cache
def _sign(sign: str) -> str:
    if sign in _SIGNS:
        return _SIGNS[sign]
    if " " <= sign <= "~":
        return sign
    base, *accents = unicodedata.normalize("NFD", sign)
    if len(accents) == 1 and accents[0] in _ACCENTS and base.isascii():
        dotless = {"i": r"\i", "j": r"\j"}.get(base, base) if accents[0] not in "\u0327\u0328" else base
        return rf"\{_ACCENTS[accents[0]]}{{{dotless}}}"
    if sign in _GREEK:
        return _GREEK[sign]
    number = f"{ord(sign):04X}"
    return rf"\unicodesign{{{number}}}{{{sign}}}" if sign.isprintable() else rf"\texttt{{U+{number}}}"
