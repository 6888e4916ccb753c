"""Whether variants are better than the rival, whose score is one number: it is fitted once, and has no seed.

The members of a variant are many and the rival is one, so that the luck of the texts does not cancel: where both were asked the
same texts, the interval is over seeds and texts.
"""

from collections import Counter
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

from attention.lab import analysis, other_texts, paired_tests, seeds_and_texts
from attention.lab.comparisons import ROUNDING
from attention.lab.results import Results

BETTER, WORSE, UNDECIDED, ONE = "better", "no better", "not shown to be better", "one seed"


class Against(NamedTuple):
    """A variant beside the rival of its members, by the metric that decides.

    Attributes:
      name: of the variant.
      rival: spec of the rival.
      score: of the rival.
      members: that have a score, and a rival with one.
      left_out: members with a score whose rival has none.
      difference: mean of the members less the rival's score.
      low, high: its interval, for all variants together; None of a single member, or without any spread.
      of_texts: whether the interval is over seeds and texts, and not over seeds alone.
      verdict: "better" or "no better" where the interval lies above the rival or below it, "not shown to be better" where it
        holds 0, "one seed".
    """

    name: str
    rival: str
    score: float
    members: int
    left_out: int
    difference: float
    low: float | None = None
    high: float | None = None
    of_texts: bool = False
    verdict: str = ONE


def against(results: Results) -> list[Against]:
    """Every variant that has members and a rival with a score of the metric, in the order of the sweep."""
    metric, found = results.sweep["metric"], []
    for name in results.sweep["variants"]:
        scored = [(row, value) for row in analysis.rows(results, name) if (value := analysis.value(row, metric)) is not None]
        known = [(row, value, of_rival) for row, value in scored if (of_rival := _score(row, metric)) is not None]
        if known:
            rows, values, scores = zip(*known)
            gaps = np.array(values) - np.array(scores)
            usual = Counter(row["rival"] for row in rows).most_common(1)[0][0]
            numbers = float(np.mean(scores)), len(rows), len(scored) - len(rows), float(gaps.mean())
            found.append((Against(name, usual, *numbers), gaps, list(rows)))
    tested = sum(len(gaps) > 1 for _, gaps, _ in found)
    return [_judged(results, known, gaps, rows, tested) for known, gaps, rows in found]


def _score(row: dict[str, Any], metric: str) -> float | None:
    found = (row["rival_scores"] or {}).get(metric)
    return None if found is None or not np.isfinite(found) else found


def _judged(results: Results, known: Against, gaps: np.ndarray, rows: list[dict[str, Any]], tested: int) -> Against:
    if len(gaps) < 2:
        return known
    level = paired_tests.LEVEL / tested
    table = other_texts.table([(row, _as_row(row)) for row in rows], results)
    flat = bool(np.ptp(gaps) <= ROUNDING)
    if flat and isinstance(table, str):  # neither seeds nor texts say how sure it is
        return known._replace(verdict=UNDECIDED)
    low, high = interval(gaps, level=level)
    if not isinstance(table, str):
        low, high = seeds_and_texts.widened(low, high, table, level=level)
    above, below = (high < 0, low > 0) if not results.sweep["higher_is_better"] else (low > 0, high < 0)
    verdict = BETTER if above else WORSE if below else UNDECIDED
    return known._replace(low=low, high=high, of_texts=not isinstance(table, str), verdict=verdict)


def interval(gaps: np.ndarray, *, level: float) -> tuple[float, float]:
    """The Student-t interval of a mean over seeds, ``mean -+ t(1 - level/2, n-1) s / sqrt(n)``."""
    reach = float(stats.t.isf(level / 2, len(gaps) - 1) * gaps.std(ddof=1) / np.sqrt(len(gaps)))
    return float(gaps.mean()) - reach, float(gaps.mean()) + reach


def _as_row(row: dict[str, Any]) -> dict[str, Any]:
    """The rival of a member as if it were a member."""
    return {**row, row["split"]: row["rival_scores"], "correct": row["rival_correct"]}
