"""Variants beside a rival: the p-values of scipy, the words of a report, and the column of a sweep."""

import numpy as np
import pytest
from scipy import stats

from attention.lab import against_rival
from attention.lab import results as stored
from attention.lab.analysis import standings
from attention.lab.report import sentences, tables
from tests.support import made_results, sweeps, toy


def beside(scores, rival, *, metric="accuracy", seeds=None):
    """Results with the members' scores by variant, and a rival that has ``rival``."""
    made = made_results.made(list(scores), seeds=seeds or len(next(iter(scores.values()))), metric=metric)
    for row in made.rows:
        row["test"] = {**row["test"], metric: scores[row["variant"]][row["seed"]]}
        row["rival"], row["rival_scores"] = "linear", {metric: rival}
    return made


SCORES = {
    "a": [0.80, 0.82, 0.81, 0.83],
    "b": [0.78, 0.80, 0.79, 0.795],
    "c": [0.70, 0.71, 0.72, 0.70],
    "d": [0.79, 0.90, 0.80, 0.78],
}


def test_p_values_are_those_of_scipy():
    found = against_rival.against(beside(SCORES, 0.785))
    wanted = [stats.ttest_1samp(scores, 0.785, alternative="greater").pvalue for scores in SCORES.values()]
    np.testing.assert_allclose([one.p for one in found], wanted, rtol=1e-9)
    corrected = np.minimum(1.0, 4 * np.array(wanted))
    np.testing.assert_allclose([one.adjusted for one in found], corrected, rtol=1e-9)
    assert [one.better for one in found] == [bool(p <= 0.05) for p in corrected] == [True, False, False, False]
    assert [one.difference for one in found] == pytest.approx([np.mean(scores) - 0.785 for scores in SCORES.values()])


def test_false_alarms_are_as_rare_as_they_say():
    random = np.random.default_rng(0)
    alarms = [against_rival.chance(random.normal(0, 1, 4)) <= 0.05 for _ in range(4000)]
    assert stats.binomtest(sum(alarms), len(alarms), 0.05).pvalue > 0.001


def test_less_may_be_better():
    losses = {"a": [0.50, 0.52, 0.51], "b": [0.60, 0.61, 0.59]}
    found = against_rival.against(beside(losses, 0.58, metric="nll"))
    assert [one.better for one in found] == [True, False]
    assert found[0].p == pytest.approx(stats.ttest_1samp(losses["a"], 0.58, alternative="less").pvalue)


def test_one_seed_has_no_test_and_says_so():
    made = beside({"a": [0.80], "b": [0.78]}, 0.79)
    assert [(one.p, one.verdict) for one in against_rival.against(made)] == [
        (None, "better than the rival"),
        (None, "no better than the rival"),
    ]
    (said,) = sentences.beside_rival(made)
    assert said == (
        "The rival's accuracy on test: linear 79.00 %. Better than the rival: a. No better than the rival: b. By the score of"
        " one seed alone, which is no test: a; b."
    )


def test_members_of_one_score():
    assert against_rival.chance([0.1, 0.1, 0.1]) == 0.125
    assert against_rival.chance([0.0, 0.0]) == against_rival.chance([-0.1, -0.1]) == 1.0
    assert against_rival.chance([0.1]) is None


def test_the_column_of_the_verdicts():
    made = beside(SCORES, 0.785)
    table = tables.verdict_table(made, standings(made))
    assert table.heads[-1].text == "beside the rival"
    shown = {row[0].text: row[-1].text for row in table.rows}
    assert shown == {"a": "better than the rival", **dict.fromkeys("bcd", "no better than the rival")}
    assert {row[0].text: row[-1].mark for row in table.rows} == {"a": "better", "b": "", "c": "", "d": ""}


def test_without_a_rival_nothing_is_said():
    made = made_results.made(["a", "b"])
    assert against_rival.against(made) == []
    assert sentences.beside_rival(made) == []
    assert tables.verdict_table(made, standings(made)).heads[-1].text != "beside the rival"


def test_a_failed_member_and_another_metric_are_left_out():
    made = beside(SCORES, 0.785)
    made.rows[0] = {**made_results.failed(made.rows[0]), "rival": "linear", "rival_scores": {"accuracy": 0.785}}
    assert against_rival.against(made)[0].members == 3
    assert against_rival.against(stored.asked(made, None, "nll")) == []


def test_a_sweep_keeps_the_rival_of_its_members(tmp_path, monkeypatch):
    """Fitted once for all of them, with a copy in each run; not by trials."""
    monkeypatch.setenv("ATTENTION_CACHE_DIR", str(tmp_path / "cache"))
    given = {**sweeps.fields(toy.write_data(tmp_path)), "rival": "auto"}
    rows = sweeps.run(given, tmp_path / "sweep")
    assert {row["rival"] for row in rows} == {"linear"}
    assert all(row["rival_scores"] == rows[0]["rival_scores"] for row in rows)
    assert set(rows[0]["rival_scores"]) == {"accuracy", "macro_f1", "nll", "ece", "count"}
    kept = list((tmp_path / "sweep").glob("points/*/rival.npz"))
    assert len(kept) == len(rows) == 4
    assert len({path.read_bytes() for path in kept}) == 1
    assert len(list((tmp_path / "sweep").glob("points/*/rival_predictions.npz"))) == 4
    (said,) = sentences.beside_rival(stored.read(tmp_path / "sweep" / "results.parquet"))
    assert "The rival's accuracy on test: linear " in said
    logs = "".join(path.read_text() for path in (tmp_path / "sweep" / "logs").glob("*"))
    assert logs.count("fitting the rival linear on 50 texts") == 2  # asked for by each cohort
    assert logs.count("taken from the cache") == 1
