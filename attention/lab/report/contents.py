"""What a report says, section by section: ``page`` writes it as HTML, ``markdown`` as Markdown, ``save_tables`` its tables."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from attention.lab import analysis
from attention.lab.analysis import Grid, Row, Standing
from attention.lab.costs import Cost
from attention.lab.report import differences, references, sentences, setting_tables, tables, words
from attention.lab.report.numbers import Metric
from attention.lab.report.parts import (
    FOLDER,
    TABLES,
    Code,
    Contents,
    Definitions,
    Drawn,
    Folded,
    Member,
    Note,
    Part,
    Section,
    Table,
    Variant,
)
from attention.lab.results import Results

_MANY = 20  # classes above which their table is folded


def contents(
    workdir: Path,
    results: Results,
    found: Sequence[Standing],
    verdicts: Table,
    ledger: Sequence[Cost],
    grid: Grid | None,
    drawn: Mapping[str, Drawn],
) -> Contents:
    """What the report of a sweep says.

    Args:
      workdir: of the sweep, for the commands.
      results: the rows.
      found: ``analysis.standings``.
      verdicts: ``tables.verdict_table``.
      ledger: ``costs.ledger``.
      grid: ``analysis.grid``.
      drawn: the saved figures by name.
    """
    figures = lambda *names: [drawn[name] for name in names if name in drawn]
    aloud = differences.aloud(results, found)
    reading = [Note(differences.reading(results)), *figures("differences"), *([Definitions(aloud)] if aloud else [])]
    pairs = analysis.every_two(results)
    every_two = [] if pairs is None else [Folded("Every two variants", tables.pair_table(results, pairs))]
    beside = _given(tables.rival_table(results))
    lengths = tables.length_table(results)
    failures = tables.failure_table(results)
    sections = [
        Section("verdicts", "Verdicts", [verdicts, *reading, *beside, *every_two, tables.metric_table(results, found)]),
        Section("training", "Training", figures("learning", "losses")),
        Section("lengths", "Lengths", [] if lengths is None else [*figures("lengths"), lengths]),
        Section("costs", "Costs", [*figures("costs"), tables.ledger_table(ledger)]),
        Section("grid", "Two axes", [] if grid is None else [*figures("grid"), _interactions(results, grid)]),
        Section("errors", "Shared errors", _errors(results)),
        Section("search", "Search", _search(results, figures(*(name for name in drawn if name.startswith("search_"))))),
        Section("failures", "Failures", [failures if failures.rows else sentences.NO_FAILURES]),
        Section("methods", "How the numbers were computed", [Definitions(sentences.methods(results))]),
        Section("words", "Words", [Definitions(words.explained(results))]),
        Section("data", "Data", _data(results)),
        Section("hyperparameters", "Hyperparameters", [setting_tables.hyperparameter_table(results)]),
        Section("references", "References", _given(references.reference_table(results))),
        Section("environment", "Environment", [setting_tables.environment_table(results)]),
        Section("reproduce", "Reproduce", _reproduce(workdir, results)),
    ]
    return Contents(
        sentences.title(results),
        sentences.subject(results),
        [*differences.findings(results, found), *sentences.beside_rival(results)],
        differences.power(results, analysis.outlook(found)),
        sentences.warnings(results, found, ledger),
        [section for section in sections if section.parts],
    )


def _interactions(results: Results, grid: Grid) -> Part:
    return tables.interaction_table(results, grid) if grid.contrasts else Note(sentences.no_interactions(results, grid))


def _data(results: Results) -> list[Part]:
    classes = setting_tables.class_table(results)
    shown = classes if classes is None or len(classes.rows) <= _MANY else Folded("All classes", classes)
    return [Definitions(setting_tables.data_facts(results)), *_given(setting_tables.split_table(results)), *_given(shown)]


def _given(part: Part | None) -> list[Part]:
    return [] if part is None else [part]


def _errors(results: Results) -> list[Part]:
    shared = analysis.agreements(results)
    return [tables.agreement_table(results, shared), Note(sentences.SHARED_ERRORS)] if shared else []


def _search(results: Results, figures: Sequence[Drawn]) -> list[Part]:
    if results.sweep["search"] is None:
        return []
    return [sentences.budget(results), *figures, Folded("All trials", tables.trial_table(results))]


def _reproduce(workdir: Path, results: Results) -> list[Part]:
    by_name = {name: analysis.rows(results, name) for name in results.sweep["variants"]}
    variants = [_variant(workdir, name, rows, Metric.of(results.sweep)) for name, rows in by_name.items() if rows]
    return [
        sentences.WHOLE,
        Code(results.sweep["command"]),
        sentences.REPRODUCE.format(figures=FOLDER, tables=TABLES),
        *variants,
    ]


def _variant(workdir: Path, name: str, rows: Sequence[Row], metric: Metric) -> Variant:
    members = []
    for row in rows:
        commands = []
        if row["status"] == "finished" and row["run"]:
            run = str(workdir / row["run"])
            commands = [sentences.evaluate_command(run), sentences.again_command(run, str(workdir / "again" / Path(run).name))]
        members.append(Member(row["seed"], sentences.outcome(row, metric), commands))
    fields = [f"{field} = {value}" for field, value in json.loads(rows[0]["fields"]).items()]
    return Variant(name, "; ".join(fields) or "none", members)
