"""``report.md`` for a repository, ``table.tex`` for a paper, and the lines for a terminal."""

import re
from collections.abc import Sequence
from pathlib import Path

from attention import text_table
from attention.lab.analysis import Standing
from attention.lab.comparisons import Comparison
from attention.lab.report import sentences, tables
from attention.lab.report.contents import Code, Contents, Definitions, Folded, Note, Part, Variant
from attention.lab.report.numbers import MINUS, NONE, Metric, p_value
from attention.lab.report.save_figures import FOLDER, Drawn
from attention.lab.report.tables import Table
from attention.lab.results import Results

_TERMINAL = ("variant", "rank", "members", None, "sd", "difference", "95 % interval", "p (Holm)", "verdict")
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


def latex(results: Results, found: Sequence[Standing]) -> str:
    """``table.tex``: the verdicts for ``booktabs``."""
    metric, sweep = Metric.of(results.sweep), results.sweep
    heads = ["Variant", "$n$", metric.title, "Difference", "95\\,\\% interval", "$p$ (Holm)", "Verdict"]
    heads[2] = in_latex(heads[2])
    order = sorted(found, key=lambda one: (one.rank is None, one.rank or 0))
    rows = [" & ".join(_latex_row(one, metric, sweep["baseline"])) + r" \\" for one in order]
    return "\n".join(
        [
            f"% {' '.join(sentences.title(results).split())}: {' '.join(sentences.subject(results).split())}",
            "% \\usepackage{booktabs}; the interval is of one difference alone, the verdict is after Holm's correction.",
            "\\begin{tabular}{lrrrrrl}",
            "\\toprule",
            " & ".join(heads) + r" \\",
            "\\midrule",
            *rows,
            "\\bottomrule",
            "\\end{tabular}",
            "",
        ]
    )


def _latex_row(one: Standing, metric: Metric, baseline: str) -> list[str]:
    c = one.comparison or Comparison(0, 0, verdict="baseline" if one.name == baseline else "no pair")
    mean = NONE if one.mean is None else metric.value(one.mean)
    if one.spread is not None:
        mean = rf"{mean} $\pm$ {metric.value(one.spread)}"
    number = lambda text: "--" if text == NONE else f"${text}$"
    cells = [str(one.finished), mean if one.mean is not None else "--", number(metric.difference(c.difference))]
    return [in_latex(one.name), *cells, number(metric.interval(c)), number(p_value(c.adjusted)), c.verdict]


def in_latex(text: str) -> str:
    """Text as LaTeX shows it."""
    return "".join(_LATEX.get(sign, sign) for sign in " ".join(text.split())).replace(MINUS, "$-$")


def terminal(report: Contents, results: Results, found: Sequence[Standing], path: Path) -> str:
    """The verdicts as text, the sentences of the head, and where the report is."""
    shown = tables.verdict_table(results, found)
    wanted = [Metric.of(results.sweep).title if name is None else name for name in _TERMINAL]
    places = [place for place, head in enumerate(shown.heads) if head.text in wanted]
    rows = [[shown.heads[place].text for place in places]]
    rows += [[" ".join(row[place].text.split()) for place in places] for row in shown.rows]
    return "\n".join([f"{shown.caption}:", text_table.table(rows), *report.summary, f"report: {path}"])
