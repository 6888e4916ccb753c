"""What the rows of a sweep say, beside the same numbers computed here from the rows by NumPy and SciPy."""

import itertools
import json
import math

import numpy as np
import pytest
from scipy import stats

from attention.lab import analysis, costs, results
from tests.support.made_results import failed, made, pending, searched

EIGHT = ["none", "sinusoidal", "learned", "rope", "alibi", "t5", "kerple", "shaw"]


def score_of(found, name, seed, metric="accuracy"):
    (row,) = (row for row in found.rows if (row["variant"], row["seed"], row["phase"]) == (name, seed, "final"))
    return row["test"][metric] if row["status"] == "finished" else None


def flips(differences):
    """All sign flips, one by one; means that differ by rounding are equal."""
    signs = np.array(list(itertools.product((1, -1), repeat=len(differences))))
    return float((np.abs(signs @ differences) >= abs(differences.sum()) - 1e-9).mean())


def replaced(found, change, *places):
    """The results with the rows at ``places`` changed."""
    return found._replace(rows=[change(row) if number in places else row for number, row in enumerate(found.rows)])


@pytest.mark.parametrize("metric", ["accuracy", "nll"])
@pytest.mark.parametrize("seeds", [4, 10])
def test_standings_are_those_of_numpy(seeds, metric):
    found = made(EIGHT, seeds=seeds, metric=metric)
    found = replaced(replaced(found, failed, 2 * seeds + 1), pending, 5 * seeds, 5 * seeds + 2)
    found.rows.pop(7 * seeds)  # not there at all
    standings = {one.name: one for one in analysis.standings(found)}
    p = {}
    for name in EIGHT:
        values = [score_of(found, name, seed, metric) for seed in range(seeds) if (name, seed) != ("shaw", 0)]
        known = [value for value in values if value is not None]
        assert standings[name].mean == pytest.approx(np.mean(known), rel=1e-12)
        assert standings[name].spread == pytest.approx(np.std(known, ddof=1), rel=1e-9)
        assert standings[name].finished == len(known)
        if name == "none":
            continue
        seen = {0} if name == "shaw" else set()
        both = [(score_of(found, name, s, metric), score_of(found, "none", s, metric)) for s in range(seeds) if s not in seen]
        d = np.array([a - b for a, b in both if a is not None])
        c = standings[name].comparison
        assert (c.pairs, c.left_out) == (len(d), seeds - len(d))
        assert c.difference == pytest.approx(d.mean(), rel=1e-9)
        p[name] = flips(d) if len(d) >= 10 else float(stats.ttest_1samp(d, 0).pvalue)
        assert c.p == pytest.approx(p[name], rel=1e-9)
        if len(d) < 10:
            half = stats.t.ppf(1 - 0.025 / 7, len(d) - 1) * d.std(ddof=1) / math.sqrt(len(d))
            assert (c.low, c.high) == pytest.approx((d.mean() - half, d.mean() + half), rel=1e-9)
    for name in p:
        c, adjusted = standings[name].comparison, min(1, len(p) * p[name])
        good = (c.difference > 0) == (metric == "accuracy")
        assert c.adjusted == pytest.approx(adjusted, rel=1e-9)
        assert c.verdict == ("not distinguishable" if adjusted > 0.05 else "better" if good else "worse")
    assert (standings["learned"].failed, standings["t5"].missing, standings["shaw"].missing) == (1, 2, 1)


def test_the_order_is_that_of_verdicts_and_of_the_sweep():
    found = analysis.by_verdict(analysis.standings(made(EIGHT, seeds=10)))
    verdicts = ["baseline" if one.comparison is None else one.comparison.verdict for one in found]
    assert verdicts == [
        "baseline",
        *["better"] * verdicts.count("better"),
        *["not distinguishable"] * verdicts[1:].count("not distinguishable"),
    ]
    for verdict in set(verdicts):
        names = [one.name for one, said in zip(found, verdicts) if said == verdict]
        assert names == sorted(names, key=EIGHT.index)
    assert len(set(verdicts)) == 3


def test_one_seed_has_no_verdict():
    found = analysis.standings(made(["none", "rope"], seeds=1))
    assert found[1].comparison.verdict == "one seed"
    seen = analysis.outlook(found)
    assert (seen.pairs, seen.smallest, seen.corrected) == (1, None, None)


@pytest.mark.parametrize("value", [math.nan, math.inf, None])
def test_a_score_that_is_no_number_counts_as_a_failed_member(value):
    found = made(["none", "rope"], seeds=4)
    found.rows[6]["test"] = {**found.rows[6]["test"], "accuracy": value}
    rope = analysis.standings(found)[1]
    assert (rope.members[2], rope.failed, rope.missing, rope.comparison.pairs) == (None, 1, 0, 3)
    assert [(one.name, one.seed, one.status) for one in analysis.failures(found)] == [("rope", 2, "failed")]


def test_other_metrics_may_be_missing():
    found = made(["none", "rope"], seeds=3)
    for row in found.rows:
        row["test"] = {"accuracy": row["test"]["accuracy"], "nll": math.nan}
    assert analysis.standings(found)[0].others == {"macro_f1": None, "nll": None, "ece": None}


def test_a_baseline_that_failed_compares_with_nothing():
    found = replaced(made(["none", "rope"], seeds=3), failed, 0, 1, 2)
    standings = analysis.standings(found)
    assert [one.comparison for one in standings] == [None, None]
    assert standings[1].mean is not None
    assert analysis.outlook(standings).comparisons == 0


def test_a_variant_that_failed_has_no_pair():
    found = analysis.standings(replaced(made(["none", "rope", "t5"], seeds=3), failed, 3, 4, 5))
    assert found[1].comparison.verdict == "no pair"
    assert (found[1].mean, found[1].spread, found[1].over_texts) == (None, None, "there is no interval over seeds")


def test_outlook_says_what_the_test_can_reach():
    seen = analysis.outlook(analysis.standings(made(EIGHT, seeds=10)))
    assert (seen.pairs, seen.comparisons, seen.smallest, seen.corrected) == (10, 7, 2**-9, 7 / 512)
    seen = analysis.outlook(analysis.standings(made([f"v{n}" for n in range(41)], seeds=10)))
    assert (seen.pairs, seen.comparisons, seen.method, seen.smallest) == (10, 40, "paired t-test", 0)


def test_outlook_names_the_nearest():
    standings = analysis.standings(made(EIGHT, seeds=6))
    seen = analysis.outlook(standings)
    open_ = {one.name: one.comparison for one in standings[1:] if one.comparison.verdict == "not distinguishable"}
    name, seeds = seen.nearest
    assert seeds == open_[name].seeds_needed == min(c.seeds_needed for c in open_.values() if c.seeds_needed)
    sizes = [one.comparison.detectable for one in standings[1:]]
    assert seen.detectable == (min(sizes), max(sizes))
    assert seen.smallest == 0.0


# Two axes

NINE = list(itertools.product(["none", "rope", "t5"], ["softmax", "sparsemax", "sigmoid"]))


def test_interactions_are_those_of_numpy():
    found = made(NINE)
    grid = analysis.grid(found)
    assert grid.axes == (["none", "rope", "t5"], ["softmax", "sparsemax", "sigmoid"])
    assert grid.fields == ("model.encoding", "model.normalizer")
    assert grid.baseline == ("none", "softmax")
    cells = np.array([[[score_of(found, f"{a}, {b}", s) for s in range(5)] for b in grid.axes[1]] for a in grid.axes[0]])
    assert [grid.means[cell] for cell in NINE] == pytest.approx(cells.mean(axis=-1).ravel().tolist())
    whole = cells - cells[:1] - cells[:, :1] + cells[:1, :1]
    assert list(grid.contrasts) == [(a, b) for a, b in NINE if a != "none" and b != "softmax"]
    p = []
    for (a, b), c in grid.contrasts.items():
        d = whole[grid.axes[0].index(a), grid.axes[1].index(b)]
        assert c.difference == pytest.approx(d.mean(), abs=1e-12)
        p.append(stats.ttest_1samp(d, 0).pvalue)
    assert [c.adjusted for c in grid.contrasts.values()] == pytest.approx([min(1, 4 * each) for each in p], rel=1e-6)


def test_a_grid_with_a_cell_that_was_dropped_has_no_interactions():
    found = made([cell for cell in NINE if cell != ("rope", "sigmoid")])
    grid = analysis.grid(found)
    assert (grid.lacking, grid.contrasts) == (["rope, sigmoid"], {})
    assert grid.means["rope", "sigmoid"] is None
    assert grid.means["rope", "softmax"] is not None


def test_a_cell_without_a_member_keeps_its_place():
    found = made(NINE)
    found = found._replace(rows=[row for row in found.rows if row["variant"] != "rope, sigmoid"])
    grid = analysis.grid(found)
    assert grid.lacking == []
    assert grid.contrasts["rope", "sigmoid"].verdict == "no pair"
    assert grid.contrasts["t5", "sigmoid"].pairs == 5


def test_other_sweeps_have_no_grid():
    assert analysis.grid(made(EIGHT)) is None
    found = made(NINE)
    assert analysis.grid(found._replace(rows=[row for row in found.rows if row["variant"] != "none, softmax"])) is None
    assert analysis.grid(replaced(found, failed, *range(5))).contrasts == {}


# Errors, costs, lengths, failures


def test_shared_errors_are_those_of_numpy():
    found = made(["none", "rope"], seeds=3)
    found.rows[5]["test_hash"] = "other"  # seed 2 of rope: another test split
    right = [results.correct(row) for row in found.rows]
    pairs = [(right[0], right[1]), (right[0], right[2]), (right[1], right[2])], [(right[0], right[3]), (right[1], right[4])]
    shown = analysis.agreements(found)
    assert [(one.name, one.pairs) for one in shown] == [("none", 3), ("rope", 2)]
    for one, known in zip(shown, pairs):
        shares = [2 * (~a & ~b).sum() / ((~a).sum() + (~b).sum()) for a, b in known]
        kappas = []
        for a, b in known:
            chance = a.mean() * b.mean() + (1 - a.mean()) * (1 - b.mean())
            kappas.append(((a == b).mean() - chance) / (1 - chance))
        assert (one.share, one.consistency) == pytest.approx((np.mean(shares), np.mean(kappas)))
        expected = [2 * (~a).mean() * (~b).mean() / ((~a).mean() + (~b).mean()) for a, b in known]
        assert one.expected == pytest.approx(np.mean(expected))


def test_shared_errors_need_predictions():
    found = made(["none", "rope"], seeds=2)
    assert analysis.agreements(found._replace(rows=[{**row, "correct": None} for row in found.rows])) == []
    assert analysis.agreements(replaced(found, failed, 0, 1)) == []
    (only,) = analysis.agreements(made(["none", "rope"], seeds=1))  # no two seeds of the baseline
    assert only.name == "rope"


def test_the_ledger_adds_up():
    found = replaced(made(["none", "rope"], seeds=3, search=searched(4)), failed, 12)
    trials, members = found.rows[7:11], [row for row in found.rows[11:] if row["status"] == "finished"]
    _, cost = costs.ledger(found)
    assert (cost.trials, cost.trial_updates) == (4, sum(row["updates"] for row in trials))
    assert cost.update_seconds == np.median([row["measured_update_seconds"] for row in members])
    assert cost.member_seconds == pytest.approx(np.median([400 * row["measured_update_seconds"] for row in members]))
    assert cost.seconds == pytest.approx(sum(row["measured_seconds"] for row in trials + members))
    assert cost.examples == 2 * 400 * 64
    assert (cost.parameters, cost.flops, cost.kernel) == (101_000, 2.2e6, "dense")
    assert (cost.state_bytes, cost.work_bytes) == (1_500_000, 30_000_000)


def test_the_ledger_of_what_never_ran():
    found = made(["none", "rope"], seeds=2)
    none, rope = costs.ledger(found._replace(rows=[pending(row) for row in found.rows[:2]]))
    assert (none.parameters, none.flops, none.kernel, none.examples, none.seconds) == (None, 2e6, "", None, 0.0)
    assert (rope.flops, rope.trials) == (None, 0)


def test_accuracy_by_length():
    found = made(["none", "rope", "t5"], seeds=3, by_length=True)
    trained, by_name = analysis.lengths(found)
    assert trained == 20
    wanted = [json.loads(row["by_length"])["ranges"][4]["accuracy"][0] for row in found.rows[:3]]
    assert by_name["none"][4].mean == pytest.approx(np.mean(wanted))
    assert (by_name["none"][4].above, by_name["none"][4].up_to) == (40, 50)
    assert [one.undefined for one in by_name["rope"]] == [False] * 3 + [True] * 3
    assert by_name["rope"][5].mean is None
    assert analysis.lengths(made(["none", "rope"])) is None


def test_failures_say_why():
    found = made(["none", "rope"], seeds=3, search=searched(2))
    found = replaced(replaced(found, failed, 1, 3), pending, 4)
    found = found._replace(rows=found.rows[:7])  # the trials of rope, and no member
    lines = [(one.name, one.seed, one.phase, one.status) for one in analysis.failures(found)]
    assert lines == [
        ("none", 1_000_000, "search", "failed"),
        ("none", 1, "final", "failed"),
        ("none", 2, "final", "pending"),
        ("rope", 0, "final", "missing"),
        ("rope", 1, "final", "missing"),
        ("rope", 2, "final", "missing"),
    ]
    assert analysis.failures(found)[0].reason == "loss or gradient not finite at update 7"


def test_other_test_data_is_told():
    found = made(["none", "rope"], seeds=2)
    assert analysis.tested_on(found) == ["ab" * 32]
    found.rows[3]["split_hash"] = "other"
    assert analysis.tested_on(found) == ["ab" * 32, "other"]
