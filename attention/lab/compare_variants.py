"""Compares any two variants of a sweep, from ``results.parquet`` alone: on every metric, in words, and example by example."""

from collections.abc import Sequence
from pathlib import Path

from attention.lab import analysis, results
from attention.lab.compare_runs import example_lines, metric_lines
from attention.lab.report import differences, tables
from attention.lab.report.numbers import Metric
from attention.lab.results import Results
from attention.messages import listed, quoted
from attention.specs import nearest


def compare(workdir: Path, names: Sequence[str], *, metric: str | None = None, margin: float | None = None) -> str:
    """Compares B with A.

    Args:
      workdir: of the sweep.
      names: of the variants A and B.
      metric: what the sentence is about, where it is not the sweep's own.
      margin: a difference that does not matter, where it is not the sweep's own.

    Returns:
      Lines of text: every metric by seed, the difference in words, and the examples.

    Raises:
      ValueError: for other than two variants of the sweep, a metric or a margin that cannot be, or no seed in common.
    """
    found = results.read(workdir / "results.parquet")
    known = found.sweep["variants"]
    if len(names) != 2 or names[0] == names[1]:
        raise ValueError(f"--compare with --report wants two variants of the sweep, got {listed(list(names)) or 'none'}")
    for name in names:
        if name not in known:
            raise ValueError(f"--compare wants two of {listed(known)}, got {quoted(name)}{nearest(name, known)}")
    two = results.asked(found, baseline=names[0], metric=metric, margin=margin)
    two = two._replace(sweep={**two.sweep, "variants": list(names)})
    standings = analysis.standings(two)
    if not standings[1].comparison or not standings[1].comparison.pairs:
        raise ValueError(f"{names[0]} and {names[1]} have no seed in common that both finished")
    lines = [f"A: {names[0]}", f"B: {names[1]}", "", f"by seed, on {tables.splits(two)}:", *_metrics(two)]
    pairs = len(known) * (len(known) - 1) // 2
    if pairs > 1:
        lines.append(f"p is not corrected for the choice of these two among {pairs} pairs of variants; the report's table is")
    lines += ["", *(f"{name}: {said}" for name, said in differences.aloud(two, standings))]
    right = _answers(two)
    return "\n".join([*lines, *(example_lines(right) if right else [])])


def _metrics(two: Results) -> list[str]:
    compared = []
    for name in two.sweep["metrics"]:
        asked = results.asked(two, metric=name)
        a, b = analysis.standings(asked)
        if b.comparison is not None and b.comparison.pairs:
            compared.append((Metric.of(asked.sweep), (a.members, b.members), b.comparison))
    return metric_lines(compared)


def _answers(two: Results) -> dict[int, list]:
    """By seed, whether each example is right, of those of A and B that are tested on one set."""
    found: dict[int, list] = {}
    rows = [{row["seed"]: row for row in analysis.rows(two, name)} for name in two.sweep["variants"]]
    for seed, a in rows[0].items():
        b = rows[1].get(seed)
        right = [] if b is None else [results.correct(row) for row in (a, b)]
        if b is not None and all(one is not None for one in right) and a["test_hash"] == b["test_hash"]:
            found[seed] = right
    return found
