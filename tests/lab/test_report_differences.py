"""What a report says of differences in words, and of any two variants: true of its numbers, and no more than they show."""

import re

import numpy as np
import pytest

from attention.commands import sweep
from attention.lab import analysis, compare_variants, comparisons, results
from attention.lab.report import differences, figures, tables
from attention.training import command_line
from tests.support.made_results import failed, made

FOUR = ["none", "rope", "t5(buckets=32, max_distance=128)", "shaw"]


def asked(margin=None, metric=None, **options):
    return results.asked(made(FOUR, seeds=6, **options), margin=margin, metric=metric)


def said(found):
    return "\n".join(differences.findings(found, analysis.standings(found)))


def members_of(found, name):
    return analysis.members(found, name)


def test_not_distinguishable_comes_with_what_is_excluded():
    found = asked()
    undecided = [one for one in analysis.standings(found) if one.comparison and one.comparison.verdict == "not distinguishable"]
    assert undecided
    for one in undecided:
        low, high = (100 * end for end in (one.comparison.excluded_below, one.comparison.excluded_above))
        wanted = f"“{one.name}” (no effect above {high:+.2f} or below {low:+.2f})"
        assert wanted.replace("-", "−") in said(found)


def test_equivalent_within_a_margin_or_what_is_missing():
    wide, narrow = asked(margin=0.2), asked(margin=0.001)
    assert re.search(r"^Equivalent to the baseline within ±20\.00 percentage points: “rope”", said(wide), re.M)
    words = dict(differences.aloud(wide, analysis.standings(wide)))
    assert "So the difference is shown to be within ±20.00 percentage points." in words["rope"]
    assert "Equivalent" not in said(narrow)
    rope = analysis.standings(narrow)[1].comparison
    words = dict(differences.aloud(narrow, analysis.standings(narrow)))
    assert "It is not shown to be within ±0.10 percentage points: effects up to " in words["rope"]
    assert f"{100 * rope.excluded_above:+.2f}" in words["rope"]
    assert rope.seeds_for_margin is not None
    assert "seeds would show it." in words["rope"]


def test_a_margin_is_of_its_own_metric():
    found = asked(margin=0.01)
    assert found.sweep["margin"] == 0.01
    assert results.asked(found, metric="nll").sweep["margin"] is None
    assert results.asked(found, metric="nll", margin=2.0).sweep["margin"] == 2.0
    for bad in (1.0, -0.1, float("nan")):
        with pytest.raises(ValueError, match=r"^--margin must be"):
            results.asked(found, margin=bad)


def test_intervals_are_read_aloud():
    found = asked()
    standings = analysis.standings(found)
    words = dict(differences.aloud(found, standings))
    assert list(words) == [one.name for one in analysis.by_verdict(standings)][1:]
    one = standings[1]
    shown = [f"{100 * end:+.2f}".replace("-", "−") for end in (one.comparison.low, one.comparison.high, *one.over_texts)]
    assert "with 95 % confidence for all 3 comparisons together, the true difference lies between" in words["rope"]
    assert f"{shown[0]} and {shown[1]} ({shown[2]} and {shown[3]} if the texts of test are a sample too)" in words["rope"]


def test_verdicts_that_hold_for_these_texts_only_are_told():
    """One text in a hundred decides: the same for every seed, and 50 points of accuracy on 4 texts are no more than luck."""
    found = made(["none", "rope"], seeds=6)
    random = np.random.default_rng(0)
    for row in found.rows:
        right = random.random(300) < 0.002
        right[:4] = row["variant"] == "rope"
        row |= {"correct": np.packbits(right).tobytes(), "test": {**row["test"], "accuracy": float(right.mean())}}
    assert "Better than the baseline: “rope”." in said(found)
    assert "On these texts of test, but not shown for other texts of the kind: “rope”." in said(found)
    assert "cannot be told" not in said(found)
    found.rows[7] |= {"correct": None}
    assert "over other texts cannot be told: the answers to single texts are not stored." in said(found)


def test_no_rank_and_no_order_by_score():
    found = asked()
    table = tables.verdict_table(found, analysis.standings(found))
    assert "rank" not in [head.text for head in table.heads]
    undecided = [row[0].text for row in table.rows if row[1].mark == "not distinguishable"]
    assert undecided == sorted(undecided, key=FOUR.index)
    text = said(found) + differences.reading(found)
    assert not re.search(r"\b(best|rank\w*|winner|first)\b", text)


def test_the_figure_has_the_order_of_the_table():
    found = made(["a", "b", "c", "d"], seeds=6)
    standings = analysis.standings(found)
    drawn = figures.differences(found, standings)
    shown = [text.get_text() for text in drawn.axes[0].texts if text.get_text() in "bcd"]
    assert shown == [one.name for one in analysis.by_verdict(standings) if one.comparison]


# Any two variants


def test_every_two_variants():
    found = asked()
    pairs = analysis.every_two(found)
    assert len(pairs) == 6
    table = tables.pair_table(found, pairs)
    assert [(row[1].text, row[0].text) for row in table.rows] == list(pairs)
    for (a, b), row in zip(pairs, table.rows):
        c = comparisons.compare(members_of(found, a), members_of(found, b))
        assert row[3].key == pytest.approx(c.difference)
        assert row[4].key == pairs[a, b].low < c.low
    assert analysis.every_two(made(["none", "rope"])) is None
    assert analysis.every_two(made([f"v{n}" for n in range(13)])) is None


@pytest.fixture
def folder(tmp_path):
    results.write(tmp_path / "results.parquet", asked())
    return tmp_path


def test_any_two_variants_from_the_results_alone(folder, capsys):
    arguments = ["sweep.py", f"--report={folder}", "--compare", FOUR[2], "shaw", "--margin=0.3"]
    assert command_line.run_main(sweep.main, arguments) == 0
    text = capsys.readouterr().out
    found = asked()
    for metric, factor, digits in (("accuracy", 100, 2), ("nll", 1, 4)):
        a, b = (analysis.members(found, name, metric) for name in FOUR[2:])
        c = comparisons.compare(a, b, higher_is_better=metric == "accuracy")
        line = next(line for line in text.splitlines() if line.startswith(f"{metric}  "))
        wanted = f"{factor * c.difference:.{digits}f} {factor * c.low:.{digits}f} to {factor * c.high:.{digits}f}"
        assert wanted in " ".join(line.split())
    assert f"A: {FOUR[2]}\nB: shaw\n" in text
    assert "the choice of these two among 6 pairs" in text
    assert "within ±30.00 percentage points" in text
    assert "by example of test" in text
    assert {path.name for path in folder.iterdir()} == {"results.parquet"}


def test_two_variants_that_cannot_be_compared(folder):
    with pytest.raises(ValueError, match=r"^--compare wants two of none, rope, .*got 'rop'.*rope"):
        compare_variants.compare(folder, ["none", "rop"])
    for names in (["none"], ["none", "none"], ["none", "rope", "shaw"]):
        with pytest.raises(ValueError, match="--compare with --report wants two variants"):
            compare_variants.compare(folder, names)
    found = asked()
    found = found._replace(rows=[failed(row) if row["variant"] == "rope" else row for row in found.rows])
    results.write(folder / "results.parquet", found)
    for names in (["none", "rope"], ["rope", "none"]):
        with pytest.raises(ValueError, match="have no seed in common that both finished"):
            compare_variants.compare(folder, names)
