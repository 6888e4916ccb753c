"""Variants beside a rival: the intervals of scipy, the words of a report, and the column of a sweep."""

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


def test_intervals_are_those_of_scipy():
    found = against_rival.against(beside(SCORES, 0.77))
    for one, scores in zip(found, SCORES.values()):
        wanted = stats.ttest_1samp(np.array(scores) - 0.77, 0.0).confidence_interval(1 - 0.05 / 4)
        assert (one.low, one.high, one.of_texts) == pytest.approx((wanted.low, wanted.high, False))
        assert one.difference == pytest.approx(np.mean(scores) - 0.77)
    assert [one.verdict for one in found] == ["better", "not shown to be better", "no better", "not shown to be better"]


def answered(right, rival):
    """Results of one variant whose members, and a rival, answer texts rightly or not: ``[seeds texts]`` and ``[texts]``."""
    made = made_results.made(["a"], seeds=len(right))
    for row, of_member in zip(made.rows, right):
        row |= {"correct": np.packbits(of_member).tobytes(), "rival_correct": np.packbits(rival).tobytes()}
        row |= {"test_count": len(rival), "rival": "linear", "rival_scores": {"accuracy": float(rival.mean())}}
        row["test"] = {**row["test"], "accuracy": float(of_member.mean())}
    return made


def test_false_alarms_are_rare_over_other_texts():
    """Members and a rival that are equally good, each on texts of its own liking: over seeds alone every third is an alarm."""
    random, alarms, of_seeds = np.random.default_rng(0), 0, 0
    for _ in range(400):
        liking = random.multivariate_normal([0, 0], [[1, 0.5], [0.5, 1]], 300)
        chances = stats.norm.cdf(0.8 + liking)
        right, rival = random.random((5, 300)) < chances[:, 0], random.random(300) < chances[:, 1]
        (one,) = against_rival.against(answered(right, rival))
        low, high = against_rival.interval(right.mean(axis=1) - rival.mean(), level=0.05)
        alarms += one.verdict != "not shown to be better"
        of_seeds += not low <= 0 <= high
    assert stats.binomtest(alarms, 400, 0.05).pvalue > 0.001, alarms
    assert of_seeds > 80


def test_a_task_that_is_solved_is_better_than_a_rival_that_does_not():
    """Seeds that all have everything right have no spread; the texts say how sure it is."""
    random = np.random.default_rng(0)
    (one,) = against_rival.against(answered(np.ones((3, 300), bool), random.random(300) < 0.6))
    assert (one.verdict, one.of_texts) == ("better", True)
    assert one.low > 0.2
    (one,) = against_rival.against(answered(np.ones((3, 300), bool), np.arange(300) > 0))  # a single text is no evidence
    assert one.verdict == "not shown to be better"


def test_seeds_and_texts_without_a_spread_give_no_verdict():
    made = beside({"a": [0.9, 0.9, 0.9]}, 0.5)
    (one,) = against_rival.against(made)
    assert (one.verdict, one.low) == ("not shown to be better", None)
    assert "“a” (+40.00, without any spread)" in sentences.beside_rival(made)[0]


def test_less_may_be_better():
    found = against_rival.against(beside({"a": [0.50, 0.52, 0.51], "b": [0.60, 0.61, 0.59]}, 0.56, metric="nll"))
    assert [one.verdict for one in found] == ["better", "no better"]


def test_one_seed_has_no_verdict_and_says_so():
    made = beside({"a": [0.80], "b": [0.78]}, 0.79)
    assert [one.verdict for one in against_rival.against(made)] == ["one seed", "one seed"]
    said = "The rival's accuracy on test: linear 79.00 %. One seed, and no verdict beside the rival: “a”; “b”."
    assert sentences.beside_rival(made) == [said]


def test_the_words_and_the_tables():
    made = beside(SCORES, 0.77)
    (said,) = sentences.beside_rival(made)
    assert said.startswith(
        "The rival's accuracy on test: linear 77.00 %. Better than the rival: “a”. No better than the rival: “c”. "
    )
    assert "Not shown to be better than the rival: “b” (between " in said
    table = tables.verdict_table(made, standings(made))
    assert table.heads[2].text == "beside the rival"
    shown = {row[0].text: (row[2].text, row[2].mark) for row in table.rows}
    assert shown["a"] == ("better", "better")
    assert shown["c"] == ("no better", "")
    beside_it = tables.rival_table(made)
    assert [row[0].text for row in beside_it.rows] == list("abcd")
    assert beside_it.rows[0][-1].text == "seeds"


def test_rivals_of_several_data_are_told_apart():
    made = beside(SCORES, 0.77)
    for row in made.rows:
        if row["variant"] == "d":
            row["rival_scores"] = {"accuracy": 0.5}
    made.rows[0] |= {"rival": None, "rival_scores": None}
    (said,) = sentences.beside_rival(made)
    assert "linear 77.00 % beside “a”; “b”; “c”; linear 50.00 % beside “d”." in said
    assert "Members whose rival has no score: “a” 1." in said


def test_without_a_rival_nothing_is_said():
    made = made_results.made(["a", "b"])
    assert against_rival.against(made) == []
    assert sentences.beside_rival(made) == []
    assert tables.verdict_table(made, standings(made)).heads[2].text != "beside the rival"


def test_a_failed_member_and_another_metric_are_left_out():
    made = beside(SCORES, 0.77)
    made.rows[0] = {**made_results.failed(made.rows[0]), "rival": "linear", "rival_scores": {"accuracy": 0.77}}
    assert against_rival.against(made)[0].members == 3
    assert against_rival.against(stored.asked(made, metric="nll")) == []


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
