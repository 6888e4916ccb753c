"""Intervals over seeds and texts: against statsmodels' analysis of variance, a bootstrap, and simulated texts."""

import numpy as np
import pandas
import pytest
from scipy import stats
from statsmodels.formula.api import ols
from statsmodels.stats.anova import anova_lm

from attention.lab import analysis, other_texts, paired_tests, results, seeds_and_texts
from tests.support.made_results import failed, made


def answers(random, seeds, texts, of_seeds, of_texts):
    """Differences of right answers of two variants that are as good as each other over all seeds and texts there may be."""
    easy, favour = random.normal(1.2, 1.5, texts), random.normal(0, of_texts, texts) / 2
    luck = random.normal(0, of_seeds, (2, seeds, 1))
    a, b = (random.random((seeds, texts)) < 1 / (1 + np.exp(-(easy + sign * favour + one))) for sign, one in zip((1, -1), luck))
    return a.astype(int) - b


def test_mean_squares_are_those_of_statsmodels():
    table = answers(np.random.default_rng(0), 4, 30, 0.3, 1.0)
    rows, columns = np.indices(table.shape)
    frame = pandas.DataFrame({"value": table.ravel(), "seed": rows.ravel(), "text": columns.ravel()})
    wanted = anova_lm(ols("value ~ C(seed) + C(text)", frame).fit())["mean_sq"]
    assert tuple(seeds_and_texts.mean_squares(table)) == pytest.approx(tuple(wanted), rel=1e-9)


def test_the_bootstrap_over_both_has_the_variance_that_the_mean_squares_give():
    """The pigeonhole bootstrap counts what neither explains three times, all but for terms in 1/seeds and 1/texts."""
    random = np.random.default_rng(1)
    table = answers(random, 12, 60, 0.5, 2.0)
    seeds, texts = table.shape
    draws = 20_000
    by_seed = random.multinomial(seeds, np.full(seeds, 1 / seeds), draws)
    by_text = random.multinomial(texts, np.full(texts, 1 / texts), draws)
    resampled = ((by_seed @ table) * by_text).sum(axis=1) / table.size
    found = seeds_and_texts.mean_squares(table)
    expected = (found.seeds + found.texts + found.rest) / table.size  # = seeds' and texts' parts, and three times the rest's
    assert resampled.var() == pytest.approx(expected, rel=0.12)


def test_texts_that_add_nothing_leave_the_interval():
    random = np.random.default_rng(2)
    table = np.repeat(random.integers(-1, 2, (6, 1)), 40, axis=1)  # each seed has one difference on all texts
    low, high = map(float, paired_tests.intervals(table.mean(axis=1)))
    assert seeds_and_texts.widened(low, high, table, level=0.05) == pytest.approx((low, high), rel=1e-12)


def test_seeds_that_add_nothing_leave_a_normal_interval():
    """All seeds answer alike: what is left is the error of a mean over texts."""
    one = np.random.default_rng(3).integers(-1, 2, 500)
    low, high = seeds_and_texts.widened(one.mean(), one.mean(), np.repeat(one[None], 5, axis=0), level=0.05)
    reach = stats.norm.isf(0.025) * one.std(ddof=1) / np.sqrt(500)
    assert (low, high) == pytest.approx((one.mean() - reach, one.mean() + reach), rel=1e-9)


@pytest.mark.parametrize(("seeds", "of_texts", "alone"), [(5, 0.0, 0.95), (5, 2.0, 0.9), (10, 2.0, 0.8)])
def test_coverage(seeds, of_texts, alone):
    """The texts favour one of the two, and other texts the other: the interval over seeds takes that for a difference."""
    random, number = np.random.default_rng(seeds), 500
    tables = [answers(random, seeds, 200, 0.05, of_texts) for _ in range(number)]
    low, high = paired_tests.intervals(np.array([table.mean(axis=1) for table in tables]))
    wide = np.array([seeds_and_texts.widened(*each, level=0.05) for each in zip(low, high, tables)])
    covered = float(((wide[:, 0] <= 0) & (wide[:, 1] >= 0)).mean())
    over_seeds = float(((low <= 0) & (high >= 0)).mean())
    print(f"{seeds} seeds, texts that favour by {of_texts}: over seeds {over_seeds:.3f}, over both {covered:.3f}")
    assert 0.915 <= covered <= 0.985
    assert over_seeds <= alone + (0.03 if not of_texts else 0)
    assert (wide[:, 0] <= low + 1e-12).all()
    assert (wide[:, 1] >= high - 1e-12).all()


# From the rows of a sweep


def over_texts(found):
    return {one.name: one.over_texts for one in analysis.standings(found)}


def test_rows_give_the_table():
    found = made(["none", "rope", "t5"], seeds=6)
    rope = analysis.standings(found)[1]
    right = [np.array([results.correct(row) for row in found.rows[6 * k : 6 * k + 6]], int) for k in (0, 1)]
    wanted = seeds_and_texts.widened(rope.comparison.low, rope.comparison.high, right[1] - right[0], level=0.025)
    assert rope.over_texts == pytest.approx(wanted, rel=1e-12)
    assert over_texts(found)["none"] is None


def test_a_member_that_failed_is_left_out_of_the_table():
    found = made(["none", "rope"], seeds=6)
    found.rows[8] = failed(found.rows[8])
    rope = analysis.standings(found)[1]
    assert rope.comparison.pairs == 5
    assert rope.over_texts[0] <= rope.comparison.low < rope.comparison.high <= rope.over_texts[1]


def test_why_there_is_none():
    found = made(["none", "rope"], seeds=4)
    assert over_texts(made(["none", "rope"], seeds=4, metric="nll"))["rope"] == (
        "nll is not the share of texts that are answered rightly"
    )
    without = found._replace(rows=[{**row, "correct": None, "test_count": None} for row in found.rows])
    assert over_texts(without)["rope"] == "the answers to single texts are not stored"
    others = found._replace(rows=[{**row, "test_hash": f"{row['seed'] // 2}"} for row in found.rows])
    assert over_texts(others)["rope"] == "not all members were tested on the same texts"
    validated = found._replace(rows=[{**row, "split": "validation"} for row in found.rows])
    assert over_texts(validated)["rope"].startswith("the scores are of validation")
    assert over_texts(made(["none", "rope"], seeds=1))["rope"] == "there is no interval over seeds"


def test_seq2seq_has_the_share_of_texts_that_are_right_throughout():
    assert isinstance(over_texts(made(["none", "rope"], task="seq2seq"))["rope"], tuple)
    assert isinstance(over_texts(made(["none", "rope"], task="seq2seq", metric="token_accuracy"))["rope"], str)


def test_tables_that_are_none():
    for bad in (np.ones((1, 5)), np.ones((5, 1)), np.ones(5)):
        with pytest.raises(ValueError, match="two or more seeds and texts"):
            seeds_and_texts.mean_squares(bad)
    assert other_texts.intervals(made(["none", "rope"]), {}) == {}
