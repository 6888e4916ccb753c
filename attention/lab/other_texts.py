"""Whether the differences of a sweep would hold on other texts: the rows' answers, text by text, behind each interval."""

from collections.abc import Mapping

import numpy as np

from attention.lab import seeds_and_texts
from attention.lab.comparisons import Comparison
from attention.lab.results import Results, correct, score

SAME = 1e-6  # shares of right answers that differ by less are one number


def intervals(results: Results, compared: Mapping[str, Comparison]) -> dict[str, tuple[float, float] | str]:
    """For each variant the interval of its difference over seeds and texts, at the level of its interval over seeds.

    Or the reason why there is none, as the end of a sentence.
    """
    rows = {(row["variant"], row["seed"]): row for row in results.rows if row["phase"] == "final"}
    found: dict[str, tuple[float, float] | str] = {}
    for name, one in compared.items():
        if one.low is None or one.high is None:
            found[name] = "there is no interval over seeds"
            continue
        pairs = [(rows.get((name, seed)), rows.get((results.sweep["baseline"], seed))) for seed in results.sweep["seeds"]]
        answers = table([(a, b) for a, b in pairs if a and b and _scored(results, a) and _scored(results, b)], results)
        found[name] = (
            answers if isinstance(answers, str) else seeds_and_texts.widened(one.low, one.high, answers, level=one.level)
        )
    return found


def _scored(results: Results, row: dict) -> bool:
    value = score(row, results.sweep["metric"])
    return value is not None and bool(np.isfinite(value))


def table(pairs: list[tuple[dict, dict]], results: Results) -> np.ndarray | str:
    """The differences of right answers, ``[seeds texts]``, or why there are none."""
    metric, members = results.sweep["metric"], [row for pair in pairs for row in pair]
    if any(row["split"] != "test" for row in members):
        return "the scores are of validation, whose answers are not stored text by text"
    name = metric.replace("_", " ")
    if metric not in results.sweep["shares"]:
        return f"{name} is not the share of texts that are answered rightly"
    if any(row["correct"] is None for row in members):
        return "the answers to single texts are not stored"
    if len({(row["test_hash"], row["test_count"]) for row in members}) > 1:
        return "not all members were tested on the same texts"
    right = np.array([correct(row) for row in members], np.int8)
    scores = np.array([score(row, metric) for row in members], np.float64)
    if not np.allclose(right.mean(axis=1), scores, rtol=0, atol=SAME):
        return f"{name} is not the share of texts that are answered rightly"
    return right[::2] - right[1::2] if right.shape[1] > 1 else "there is one text"
