"""``report.md`` for a repository, ``table.tex`` for a paper, and the lines for a terminal."""

import re
from collections.abc import Sequence
from pathlib import Path

from attention import text_table
from attention.lab.report.contents import Code, Contents, Definitions, Folded, Note, Part, Variant
from attention.lab.report.numbers import MINUS, NONE
from attention.lab.report.save_figures import FOLDER, Drawn
from attention.lab.report.tables import Cell, Table

_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
}


def markdown(report: Contents) -> str:
    """``report.md``."""
    parts = [f"# {escaped(report.title)}", escaped(report.subject), "\n".join(f"- {escaped(line)}" for line in report.summary)]
    for section in report.sections:
        parts += [f"## {section.title}", *map(_part, section.parts)]
    return "\n\n".join(parts) + "\n"


def _part(part: Part) -> str:
    match part:
        case Table():
            return _table(part)
        case Drawn():
            return f"![{escaped(part.description)}]({FOLDER}/{part.name}.svg)\n\n*{escaped(part.caption)}*"
        case Code():
            return _code(part.text)
        case Folded():
            return _folded(part.title, _table(part.table))
        case Definitions():
            return "\n".join(f"- **{escaped(term)}**: {escaped(meaning)}" for term, meaning in part.pairs)
        case Variant():
            name = " ".join(part.name.split())
            lines = [(f"# {name}, seed {one.seed}: {' '.join(one.outcome.split())}", *one.commands) for one in part.members]
            return _folded(part.name, _code("\n".join(line for member in lines for line in member)))
        case Note():
            return escaped(part.text)
        case str():
            return escaped(part)


def _folded(title: str, body: str) -> str:
    return f"<details><summary>{escaped(title)}</summary>\n\n{body}\n\n</details>"


def _code(text: str) -> str:
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
    return f"{fence}sh\n{text}\n{fence}"


def _table(shown: Table) -> str:
    heads = [escaped(head.text) for head in shown.heads]
    lines = [heads, ["--:" if head.number else ":--" for head in shown.heads]]
    lines += [[escaped(cell.text) for cell in row] for row in shown.rows]
    return "\n".join([f"{escaped(shown.caption)}:", "", *(f"| {' | '.join(line)} |" for line in lines)])


def escaped(text: str) -> str:
    """Text as Markdown shows it, on one line: signs that would be markup have a backslash."""
    text = re.sub(r"([\\`*_\[\]|~#$])", r"\\\1", " ".join(text.split()))
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def latex(report: Contents, verdicts: Table) -> str:
    """``table.tex``: the verdicts for ``booktabs``."""
    heads = ["Variant", "$n$", in_latex(verdicts.heads[3].text), "Difference", "95\\,\\% interval", "$p$ (Holm)", "Verdict"]
    lines = [
        f"% {' '.join(report.title.split())}: {' '.join(report.subject.split())}",
        "% \\usepackage{booktabs}; the interval is for one difference alone, the verdict after Holm's correction.",
        "\\begin{tabular}{lrrrrrl}",
        "\\toprule",
        _latex_row(heads),
        "\\midrule",
        *(_latex_row(_latex_cells(row)) for row in verdicts.rows),
        "\\bottomrule",
        "\\end{tabular}",
    ]
    return "\n".join(lines) + "\n"


def _latex_row(cells: Sequence[str]) -> str:
    return " & ".join(cells) + r" \\"


def _latex_cells(row: Sequence[Cell]) -> list[str]:
    mean, spread = row[3].text, row[4].text
    score = "--" if mean == NONE else mean if spread == NONE else rf"{mean} $\pm$ {spread}"
    numbers = ["--" if cell.text == NONE else f"${cell.text}$" for cell in row[5:8]]
    return [in_latex(row[0].text), f"{row[2].key:g}", score, *numbers, row[8].mark]


def in_latex(text: str) -> str:
    """Text as LaTeX shows it."""
    return "".join(_LATEX.get(sign, sign) for sign in " ".join(text.split())).replace(MINUS, "$-$")


def terminal(report: Contents, verdicts: Table, path: Path) -> str:
    """The verdicts as text, the sentences of the head, and where the report is."""
    rows = [[head.text for head in verdicts.heads], *([cell.text for cell in row] for row in verdicts.rows)]
    up_to_verdict = [[" ".join(text.split()) for text in row[:9]] for row in rows]
    return "\n".join([f"{verdicts.caption}:", text_table.table(up_to_verdict), *report.summary, f"report: {path}"])
