"""``report.md`` for a repository, ``table.tex`` for a paper, and the lines for a terminal."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from attention import text_table as plain
from attention.lab import analysis
from attention.lab.analysis import Standing
from attention.lab.comparisons import Comparison
from attention.lab.report import sentences, tables
from attention.lab.report.numbers import MINUS, NONE, Metric, p_value
from attention.lab.report.save_figures import FOLDER, Content, Drawn
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


def markdown(content: Content) -> str:
    """``report.md``."""
    workdir, results, found, ledger, grid, drawn = content
    said = [
        *sentences.findings(results, found),
        *sentences.power(results, analysis.outlook(found)),
        *sentences.warnings(results, found),
    ]
    parts = [
        f"# {escaped(sentences.title(results))}",
        escaped(sentences.subject(results)),
        "\n".join(f"- {escaped(line)}" for line in said),
    ]
    parts += ["## Verdicts", _table(tables.verdict_table(results, found)), escaped(sentences.reading(results))]
    parts += [*_figures(drawn, "differences"), _table(tables.metric_table(results, found))]
    parts += _under("## Training", _figures(drawn, "learning", "losses"))
    lengths = tables.length_table(results)
    if lengths is not None:
        parts += ["## Lengths", *_figures(drawn, "lengths"), _table(lengths)]
    parts += ["## Costs", *_figures(drawn, "costs"), _table(tables.ledger_table(ledger))]
    if grid is not None:
        after = _table(tables.interaction_table(results, grid)) if grid.contrasts else sentences.no_interactions(results, grid)
        parts += ["## Two axes", *_figures(drawn, "grid"), after]
    shared = analysis.agreements(results)
    if shared:
        parts += ["## Shared errors", _table(tables.agreement_table(results, shared)), sentences.YARDSTICK]
    if results.sweep["search"] is not None:
        names = [name for name in drawn if name.startswith("search_")]
        parts += [
            "## Search",
            escaped(sentences.budget(results)),
            *_figures(drawn, *names),
            _table(tables.trial_table(results)),
        ]
    failed = tables.failure_table(results)
    if failed.rows:
        parts += ["## Failures", _table(failed)]
    methods = "\n".join(f"- **{escaped(word)}**: {escaped(meaning)}" for word, meaning in sentences.methods(results))
    parts += ["## How the numbers were computed", methods, "## Environment", _table(tables.environment_table(results))]
    parts += ["## To have it again", _code(results.sweep["command"]), sentences.AGAIN.format(folder=FOLDER)]
    return "\n\n".join([*parts, *_members(workdir, results)]) + "\n"


def _members(workdir: Path, results: Results) -> list[str]:
    parts = []
    for name in results.sweep["variants"]:
        commands = []
        for row in analysis.rows(results, name):
            commands.append(f"# {' '.join(name.split())}, seed {row['seed']}: {row['status']}")
            if row["status"] == "finished" and row["run"]:
                commands.append(sentences.evaluate_command(str(workdir / row["run"])))
            commands.append(sentences.train_command(json.loads(row["config"])))
        if commands:
            parts.append(f"<details><summary>{escaped(name)}</summary>\n\n{_code(*commands)}\n\n</details>")
    return parts


def _under(heading: str, parts: list[str]) -> list[str]:
    return [heading, *parts] if parts else []


def _figures(drawn: Mapping[str, Drawn], *names: str) -> list[str]:
    found = [drawn[name] for name in names if name in drawn]
    return [f"![{escaped(one.description)}]({FOLDER}/{one.name}.svg)\n\n*{escaped(one.caption)}*" for one in found]


def _code(*lines: str) -> str:
    text = "\n".join(lines)
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


def terminal(results: Results, found: Sequence[Standing], path: Path) -> str:
    """The verdicts as text, what so many seeds could show, and where the report is."""
    shown = tables.verdict_table(results, found)
    wanted = [Metric.of(results.sweep).title if name is None else name for name in _TERMINAL]
    places = [place for place, head in enumerate(shown.heads) if head.text in wanted]
    rows = [[shown.heads[place].text for place in places]]
    rows += [[" ".join(row[place].text.split()) for place in places] for row in shown.rows]
    said = [
        *sentences.findings(results, found),
        *sentences.power(results, analysis.outlook(found)),
        *sentences.warnings(results, found),
    ]
    return "\n".join([f"{shown.caption}:", plain.table(rows), *said, f"report: {path}"])
