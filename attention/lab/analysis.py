"""What the rows of a sweep say: which variants differ from the baseline and with what certainty.

Pure functions of ``Results``, so that a report is recomputed from ``results.parquet`` alone. A member that failed, that is
not there, or whose score is no finite number, is None: its pair is left out and counted.
"""

import json
import math
from collections.abc import Iterable, Sequence
from itertools import combinations
from statistics import fmean, stdev
from typing import Any, NamedTuple

from attention.lab import other_texts
from attention.lab.by_example import SharedErrors, shared_errors
from attention.lab.comparisons import Comparison, family, interactions
from attention.lab.comparisons import every_two as every_two_of
from attention.lab.results import Results, correct

Row = dict[str, Any]

MOST_VARIANTS = 12  # of a table of every two


class Standing(NamedTuple):
    """A variant beside the baseline; None is what so few members leave undefined."""

    name: str
    members: dict[int, float | None]  # the metric that decides, by seed; None where it failed or is missing
    failed: int  # members that were tried
    missing: int  # members that were not
    mean: float | None  # over the finished members
    spread: float | None  # their sample standard deviation
    others: dict[str, float | None]  # mean of every other metric
    comparison: Comparison | None  # None for the baseline, and where no member of the baseline finished
    over_texts: tuple[float, float] | str | None  # the interval over seeds and texts, or why there is none

    @property
    def finished(self) -> int:
        """Members that have a score."""
        return sum(value is not None for value in self.members.values())


class Outlook(NamedTuple):
    """What this number of seeds and comparisons can show."""

    pairs: int  # of the comparison that has most; 0 where there is none
    comparisons: int  # that have a p-value
    method: str  # of the test and of the intervals
    smallest: float | None  # attainable p-value; None without a test
    corrected: float | None  # the smallest after correction
    detectable: tuple[float, float] | None  # smallest and largest difference detected with probability 0.8
    nearest: tuple[str, int] | None  # the variant not distinguishable that needs fewest pairs, and how many


class Grid(NamedTuple):
    """The variants of two axes."""

    axes: tuple[list[str], list[str]]  # values, in the order of the sweep
    fields: tuple[str, str]  # what each axis sets; empty where that cannot be told
    baseline: tuple[str, str]
    means: dict[tuple[str, str], float | None]
    contrasts: dict[tuple[str, str], Comparison]  # empty where cells are lacking, or no member of the baseline finished
    lacking: list[str]  # names of the cells that the sweep does not have


class Agreement(NamedTuple):
    """The errors that a variant shares with the baseline, means over pairs of members; None where no pair defines it."""

    name: str
    pairs: int
    share: float | None
    expected: float | None  # share, for independent runs
    consistency: float | None


class Range(NamedTuple):
    """Accuracy of one variant on texts of some lengths."""

    above: int
    up_to: int
    values: dict[int, float | None]  # by seed
    undefined: bool  # whether the model has no positions for one of the texts

    @property
    def mean(self) -> float | None:
        """Over the members."""
        return _mean(self.values.values())


class Failure(NamedTuple):
    """A member without a score."""

    name: str
    seed: int
    phase: str
    status: str
    reason: str


def rows(results: Results, name: str, phase: str = "final") -> list[Row]:
    """The rows of a variant."""
    return [row for row in results.rows if row["variant"] == name and row["phase"] == phase]


def value(row: Row, metric: str, split: str | None = None) -> float | None:
    """A score of a row, None where there is none that is finite.

    Args:
      row: one of the rows.
      metric: its name.
      split: "validation" or "test"; by default the one that variants are compared by.
    """
    scores = row[split or row["split"]] if row["status"] == "finished" else None
    found = None if scores is None else scores.get(metric)
    return found if found is not None and math.isfinite(found) else None


def defined(results: Results) -> list[str]:
    """The metrics of a sweep that any of its members has, and the one that variants are compared by."""
    final = [row for row in results.rows if row["phase"] == "final"]
    there = lambda metric: any(value(row, metric) is not None for row in final)
    return [metric for metric in results.sweep["metrics"] if metric == results.sweep["metric"] or there(metric)]


def members(results: Results, name: str, metric: str | None = None) -> dict[int, float | None]:
    """The metric of each seed that the sweep asks for: None for a member that failed or is missing."""
    found: dict[int, float | None] = dict.fromkeys(results.sweep["seeds"])
    return found | {row["seed"]: value(row, metric or results.sweep["metric"]) for row in rows(results, name)}


def standings(results: Results) -> list[Standing]:
    """Every variant of the sweep, in its order, compared with the baseline."""
    sweep = results.sweep
    by_name = {name: members(results, name) for name in sweep["variants"]}
    compared: dict[str, Comparison] = {}
    if any(one is not None for one in by_name[sweep["baseline"]].values()):
        options = {"higher_is_better": sweep["higher_is_better"], "margin": sweep["margin"]}
        compared = family(sweep["baseline"], by_name, **options)
    wider = other_texts.intervals(results, compared)
    found = []
    for name, values in by_name.items():
        scores = [one for one in values.values() if one is not None]
        tried = sum(row["status"] != "pending" for row in rows(results, name))
        others = [metric for metric in sweep["metrics"] if metric != sweep["metric"]]
        found.append(
            Standing(
                name,
                values,
                failed=tried - len(scores),
                missing=len(values) - tried,
                mean=_mean(scores),
                spread=stdev(scores) if len(scores) > 1 else None,
                others={metric: _mean(members(results, name, metric).values()) for metric in others},
                comparison=compared.get(name),
                over_texts=wider.get(name),
            )
        )
    return found


def by_verdict(found: Sequence[Standing]) -> list[Standing]:
    """The order of tables and figures: the baseline, then verdict by verdict; within one, the order of the sweep.

    An order by score would tell apart what the seeds do not.
    """
    verdicts = ("better", "equivalent", "not distinguishable", "worse", "one seed", "no pair")
    place = lambda one: -1 if one.comparison is None else verdicts.index(one.comparison.verdict)
    return sorted(found, key=place)


def every_two(results: Results) -> dict[tuple[str, str], Comparison] | None:
    """Every two variants compared; None where there are less than three variants, or more than a table can hold."""
    names = results.sweep["variants"]
    if not 3 <= len(names) <= MOST_VARIANTS:
        return None
    by_name = {name: members(results, name) for name in names}
    return every_two_of(by_name, higher_is_better=results.sweep["higher_is_better"])


def outlook(found: Sequence[Standing]) -> Outlook:
    """What the comparisons of a table of verdicts could have shown, and what it would take to show more."""
    compared = [one.comparison for one in found if one.comparison is not None]
    tested = [one for one in compared if one.p is not None]
    if not tested:
        return Outlook(max((one.pairs for one in compared), default=0), 0, "none", None, None, None, None)
    most = max(tested, key=lambda one: (one.pairs, one.effect is not None))
    smallest, count = most.smallest_p or 0.0, most.comparisons
    sizes = [one.detectable for one in tested if one.detectable is not None]
    needed = [(one.comparison.seeds_needed, one.name) for one in found if one.comparison and one.comparison.seeds_needed]
    undecided = {one.name for one in found if one.comparison and one.comparison.verdict == "not distinguishable"}
    seeds, name = min((each for each in needed if each[1] in undecided), default=(0, ""))
    return Outlook(
        most.pairs,
        count,
        most.method,
        smallest,
        min(1.0, count * smallest),
        detectable=(min(sizes), max(sizes)) if sizes else None,
        nearest=(name, seeds) if seeds else None,
    )


def grid(results: Results) -> Grid | None:
    """The variants of a sweep of two axes with the interaction of each cell; None for another number of axes."""
    sweep = results.sweep
    names = {row["variant"]: tuple(row["names"]) for row in results.rows}
    if sweep["axes"] != 2 or len(names.get(sweep["baseline"], ())) != 2:
        return None
    known = [names[name] for name in sweep["variants"] if name in names]
    axes = (list(dict.fromkeys(a for a, _ in known)), list(dict.fromkeys(b for _, b in known)))
    cells = {(a, b): ", ".join((a, b)) for a in axes[0] for b in axes[1]}
    lacking = [name for name in cells.values() if name not in sweep["variants"]]
    by_cell = {cell: members(results, name) for cell, name in cells.items() if name not in lacking}
    a0, b0 = names[sweep["baseline"]]
    contrasts: dict[tuple[str, str], Comparison] = {}
    if not lacking and any(one is not None for one in by_cell[a0, b0].values()):
        contrasts = interactions(by_cell, (a0, b0), higher_is_better=sweep["higher_is_better"])
    means = {cell: _mean(by_cell.get(cell, {}).values()) for cell in cells}
    return Grid(axes, _axis_fields(results), (a0, b0), means, contrasts, lacking)


def _axis_fields(results: Results) -> tuple[str, str]:
    """The fields whose values go with the name on one axis and not with that on the other."""
    seen = [(row["names"], json.loads(row["fields"])) for row in results.rows]
    fields = list(dict.fromkeys(field for _, given in seen for field in given))

    def follows(axis: int, field: str) -> bool:
        pairs = {(names[axis], json.dumps(given.get(field))) for names, given in seen}
        return len(pairs) == len({name for name, _ in pairs})

    ours = lambda axis: ", ".join(field for field in fields if follows(axis, field) and not follows(1 - axis, field))
    return ours(0), ours(1)


def agreements(results: Results) -> list[Agreement]:
    """The errors each variant shares with the baseline's member of its seed, where both were tested on the same examples.

    The first entry is for reference: the baseline compared with itself, over every two of its seeds.
    """
    base = results.sweep["baseline"]
    known = {name: {row["seed"]: row for row in rows(results, name) if _tested(row)} for name in results.sweep["variants"]}
    found = [_agreement(base, combinations(known[base].values(), 2))]
    for name in results.sweep["variants"]:
        if name != base:
            found.append(_agreement(name, ((known[base].get(seed), row) for seed, row in known[name].items())))
    return [one for one in found if one.pairs]


def _tested(row: Row) -> bool:
    return row["status"] == "finished" and bool(row["test_count"]) and row["correct"] is not None


def _agreement(name: str, pairs: Iterable[tuple[Row | None, Row]]) -> Agreement:
    shared: list[SharedErrors] = []
    for a, b in pairs:
        if a is not None and a["test_hash"] == b["test_hash"] and a["test_count"] == b["test_count"]:
            right_a, right_b = correct(a), correct(b)
            assert right_a is not None
            assert right_b is not None
            shared.append(shared_errors(right_a, right_b))
    columns = [_mean(getattr(one, field) for one in shared) for field in ("share", "expected_share", "consistency")]
    return Agreement(name, len(shared), *columns)


def lengths(results: Results) -> tuple[int, dict[str, list[Range]]] | None:
    """The longest length of training, and accuracy by length of each variant that has it; None where none has."""
    trained, found = 0, {}
    for name in results.sweep["variants"]:
        ranges: dict[tuple[int, int], Range] = {}
        for row in rows(results, name):
            if row["status"] != "finished" or row["by_length"] is None:
                continue
            report = json.loads(row["by_length"])
            trained = report["trained_length"]
            for part in report["ranges"]:
                place = part["above"], part["up_to"]
                before = ranges.get(place, Range(*place, {}, False))
                values = before.values | {row["seed"]: part["accuracy"][0]}
                ranges[place] = Range(*place, values, before.undefined or part["undefined"])
        if ranges:
            found[name] = [ranges[place] for place in sorted(ranges)]
    return (trained, found) if found else None


def failures(results: Results) -> list[Failure]:
    """Every member without a score that is finite, and every trial that failed, in the order of the sweep."""
    found = []
    for name in results.sweep["variants"]:
        known = rows(results, name, "search") + rows(results, name)
        for row in known:
            if row["status"] == "finished" and (row["phase"] == "search" or value(row, results.sweep["metric"]) is not None):
                continue
            reason = row["reason"] or ("not trained yet" if row["status"] == "pending" else _lack(row, results.sweep["metric"]))
            status = "pending" if row["status"] == "pending" else "failed"
            found.append(Failure(name, row["seed"], row["phase"], status, reason))
        there = {row["seed"] for row in known if row["phase"] == "final"}
        absent = [seed for seed in results.sweep["seeds"] if seed not in there]
        found += [Failure(name, seed, "final", "missing", "not in the results: no trial gave it values") for seed in absent]
    return found


def _lack(row: Row, metric: str) -> str:
    """Why a finished member has no score."""
    found = (row[row["split"]] or {}).get(metric)
    return f"its {metric.replace('_', ' ')} is undefined" if found is None else "its score is not finite"


def tested_on(results: Results) -> list[str]:
    """The hashes of the data that members were scored on; variants are compared on the same where there is one."""
    finished = (row for row in results.rows if row["phase"] == "final" and row["status"] == "finished")
    known = (row["split_hash"] or row["test_hash"] for row in finished)
    return list(dict.fromkeys(each for each in known if each is not None))


def clean(results: Results) -> tuple[int, int, dict[str, float | None]] | None:
    """How many texts of test are neither in train nor in validation, of how many, and on these the mean of each variant.

    None where these are all or none, not the same number for all members, or where the metric has no such score.
    """
    done = [row for row in results.rows if row["phase"] == "final" and row["status"] == "finished"]
    counts = {(row["clean_count"], row["clean_of"]) for row in done}
    if len(counts) != 1 or None in (found := counts.pop()):
        return None
    scores = {name: [row["clean"] or {} for row in rows(results, name)] for name in results.sweep["variants"]}
    metric = results.sweep["metric"]
    means = {name: _mean(_finite(one.get(metric)) for one in known) for name, known in scores.items()}
    return (*found, means) if any(mean is not None for mean in means.values()) else None


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _mean(values: Iterable[float | None]) -> float | None:
    known = [one for one in values if one is not None]
    return fmean(known) if known else None
