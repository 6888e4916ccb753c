"""``report.html``: one file that needs nothing else, with the style and the script of this folder inside."""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import NamedTuple

from attention.lab import analysis
from attention.lab.analysis import Grid, Row, Standing
from attention.lab.report import sentences, tables
from attention.lab.report.html import Markup, definitions, joined, listed, table, tag
from attention.lab.report.numbers import Metric
from attention.lab.report.save_figures import FOLDER, Content, Drawn
from attention.lab.results import Results


class Section(NamedTuple):
    """A part of the page with its place in the list of contents."""

    name: str
    title: str
    body: Markup


def page(content: Content) -> str:
    """The page."""
    workdir, results, found, ledger, grid, drawn = content
    sections = [
        Section("verdicts", "Verdicts", _verdicts(results, found, drawn)),
        Section("training", "Training", _figures(drawn, "learning", "losses")),
        Section("lengths", "Lengths", _lengths(results, drawn)),
        Section("costs", "Costs", joined(_figures(drawn, "costs"), table(tables.ledger_table(ledger), sortable=True))),
        Section("grid", "Two axes", _grid(results, grid, drawn)),
        Section("errors", "Shared errors", _errors(results)),
        Section("search", "Search", _search(results, drawn)),
        Section("failures", "Failures", _failures(results)),
        Section("methods", "How the numbers were computed", definitions(sentences.methods(results))),
        Section("environment", "Environment", table(tables.environment_table(results))),
        Section("reproduction", "To have it again", _reproduction(workdir, results)),
    ]
    sections = [one for one in sections if one.body]
    contents = tag("nav", *(tag("a", one.title, href=f"#{one.name}") for one in sections), aria_label="contents")
    parts = [tag("section", tag("h2", one.title), one.body, id=one.name) for one in sections]
    summary = [tag("h1", sentences.title(results)), tag("p", sentences.subject(results), class_="subject")]
    header = tag("header", *summary, _summary(results, found), contents)
    return _whole(sentences.title(results), joined(header, tag("main", joined(*parts))))


def _whole(title: str, body: Markup) -> str:
    folder = resources.files("attention.lab.report")
    style, script = (folder.joinpath(name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    seal = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{seal}'"
    head = joined(
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("link", rel="icon", href="data:,"),
        tag("title", title),
        tag("style", Markup(f"\n{style}")),
    )
    end = tag("script", Markup(script))
    return f'<!DOCTYPE html>\n<html lang="en">\n<head>\n{head}\n</head>\n<body>\n{body}\n{end}\n</body>\n</html>\n'


def _summary(results: Results, found: Sequence[Standing]) -> Markup:
    lines = sentences.findings(results, found)
    seen = sentences.power(results, analysis.outlook(found))
    said = [tag("p", line, class_="finding") for line in lines]
    notes = sentences.warnings(results, found)
    return joined(*said, tag("p", " ".join(seen), class_="power"), listed(notes, "notes"))


def _verdicts(results: Results, found: Sequence[Standing], drawn: Mapping[str, Drawn]) -> Markup:
    shown = tables.verdict_table(results, found)
    known = ("better", "worse", "not distinguishable")
    buttons = [tag("button", word, type="button", data_show=word.replace(" ", "-"), aria_pressed="false") for word in known]
    controls = tag(
        "div",
        tag("label", "Filter ", tag("input", type="search", id="filter", placeholder="name of a variant", autocomplete="off")),
        tag(
            "span",
            tag("button", "all", type="button", data_show="", aria_pressed="true"),
            *buttons,
            class_="buttons",
            role="group",
            aria_label="verdicts shown",
        ),
        tag("output", "", id="shown", for_="filter"),
        class_="controls",
        hidden=True,
    )
    return joined(
        controls,
        table(shown, sortable=True),
        tag("p", sentences.reading(results), class_="note"),
        _figures(drawn, "differences"),
        table(tables.metric_table(results, found), sortable=True),
    )


def _figures(drawn: Mapping[str, Drawn], *names: str) -> Markup:
    there = [drawn[name] for name in names if name in drawn]
    return joined(
        *(
            tag(
                "figure",
                tag("div", Markup(one.svg), class_="scroll", tabindex="0", role="region", aria_label=f"figure: {one.name}"),
                tag("figcaption", one.caption),
            )
            for one in there
        )
    )


def _lengths(results: Results, drawn: Mapping[str, Drawn]) -> Markup:
    shown = tables.length_table(results)
    return Markup("") if shown is None else joined(_figures(drawn, "lengths"), table(shown, sortable=True))


def _grid(results: Results, grid: Grid | None, drawn: Mapping[str, Drawn]) -> Markup:
    if grid is None:
        return Markup("")
    if grid.contrasts:
        after = table(tables.interaction_table(results, grid), sortable=True)
    else:
        after = tag("p", sentences.no_interactions(results, grid), class_="note")
    return joined(_figures(drawn, "grid"), after)


def _errors(results: Results) -> Markup:
    shared = analysis.agreements(results)
    if not shared:
        return Markup("")
    note = f"Two runs that err on other examples can gain from being joined. {sentences.YARDSTICK}"
    return joined(table(tables.agreement_table(results, shared), sortable=True), tag("p", note, class_="note"))


def _search(results: Results, drawn: Mapping[str, Drawn]) -> Markup:
    search = results.sweep["search"]
    if search is None:
        return Markup("")
    names = [name for name in drawn if name.startswith("search_")]
    trials = tag("details", tag("summary", "All trials"), table(tables.trial_table(results), sortable=True))
    return joined(tag("p", sentences.budget(results)), _figures(drawn, *names), trials)


def _failures(results: Results) -> Markup:
    shown = tables.failure_table(results)
    return table(shown) if shown.rows else tag("p", "Every member has a score, and every variant could be built.")


def _reproduction(workdir: Path, results: Results) -> Markup:
    parts = [
        tag("p", "The whole sweep, in a copy of the code at the commit above:"),
        _code(results.sweep["command"]),
        tag("p", sentences.AGAIN.format(folder=FOLDER)),
    ]
    metric = Metric.of(results.sweep)
    for name in results.sweep["variants"]:
        rows = analysis.rows(results, name)
        if rows:
            parts.append(_variant(workdir, name, rows, metric))
    return joined(*parts)


def _variant(workdir: Path, name: str, rows: Sequence[Row], metric: Metric) -> Markup:
    """What the members of a variant are, closed until it is asked for."""
    members = []
    for row in rows:
        scored = f"{metric.words} {metric.value(analysis.value(row, metric.name))}"
        best = "" if row["best_step"] is None else f", best weights after update {row['best_step']} of {row['updates']}"
        ended = f"; {row['status']}" if row["status"] != "finished" else ""
        reason = f": {row['reason']}" if row["reason"] else ""
        members.append(tag("h3", f"{name}, seed {row['seed']}"))
        members.append(tag("p", f"{scored}{best}{ended}{reason}"))
        if row["status"] == "finished" and row["run"]:
            members.append(_code(sentences.evaluate_command(str(workdir / row["run"]))))
        members.append(_code(sentences.train_command(json.loads(row["config"]))))
    config = json.loads(rows[0]["config"])
    same = "The config of the first member; the others differ in the seed alone:"
    fields = json.dumps(json.loads(rows[0]["fields"]), ensure_ascii=False)
    shown = [tag("p", f"Sets {fields}."), *members, tag("p", same), _code(json.dumps(config, indent=1, ensure_ascii=False))]
    return tag("details", tag("summary", name), *shown)


def _code(text: str) -> Markup:
    return tag("pre", tag("code", text), tabindex="0")
