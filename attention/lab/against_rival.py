"""Whether variants are better than the rival, whose score is one number: it is fitted once, and has no seed."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

from attention.lab import analysis, paired_tests
from attention.lab.comparisons import ROUNDING
from attention.lab.results import Results


class Against(NamedTuple):
    """A variant beside the rival of its members, by the metric that decides.

    Attributes:
      name: of the variant.
      rival: spec of the rival.
      score: of the rival.
      members: that have a score.
      difference: their mean less the rival's score.
      p: of no member being better but by chance, one-sided; None with one member.
      adjusted: p after Bonferroni's correction over the variants.
      better: whether ``adjusted`` is at most ``paired_tests.LEVEL``; with one member, whether it is better.
    """

    name: str
    rival: str
    score: float
    members: int
    difference: float
    p: float | None
    adjusted: float | None
    better: bool

    @property
    def verdict(self) -> str:
        """In words."""
        return "better than the rival" if self.better else "no better than the rival"


def against(results: Results) -> list[Against]:
    """Every variant that has members and a rival with a score of the metric, in the order of the sweep."""
    metric, sign = results.sweep["metric"], 1 if results.sweep["higher_is_better"] else -1
    found = []
    for name in results.sweep["variants"]:
        rows = [row for row in analysis.rows(results, name) if (row["rival_scores"] or {}).get(metric) is not None]
        pairs = [(value, row["rival_scores"][metric]) for row in rows if (value := analysis.value(row, metric)) is not None]
        if not pairs:
            continue
        values, scores = np.transpose(pairs)
        gaps = values - scores
        p = chance(sign * gaps)
        known = float(scores.mean()), len(gaps), float(gaps.mean())
        found.append(Against(name, rows[0]["rival"], *known, p, None, sign * float(gaps.mean()) > 0))
    tested = sum(one.p is not None for one in found)
    return [one if one.p is None else _decided(one, min(1.0, tested * one.p)) for one in found]


def _decided(one: Against, adjusted: float) -> Against:
    return one._replace(adjusted=adjusted, better=adjusted <= paired_tests.LEVEL)


def chance(gaps: Sequence[float] | np.ndarray) -> float | None:
    """The one-sided p-value of a mean above 0, by a t-test; None for a single number.

    Numbers that are all alike, of which there is no t, have that of their signs: 2^-n above 0.
    """
    gaps = np.asarray(gaps, np.float64)
    if len(gaps) < 2:
        return None
    if np.ptp(gaps) <= ROUNDING * max(1.0, float(np.abs(gaps).max())):
        return 0.5 ** len(gaps) if gaps.mean() > ROUNDING else 1.0
    t = gaps.mean() / (gaps.std(ddof=1) / np.sqrt(len(gaps)))
    return float(stats.t.sf(t, len(gaps) - 1))
