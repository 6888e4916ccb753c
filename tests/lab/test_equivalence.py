"""Two one-sided tests: against statsmodels, all sign flips one by one, closed forms, and simulated sweeps."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.weightstats import ttost_paired

from attention.lab import equivalence, paired_tests
from attention.lab.comparisons import compare, family
from tests.support.pairs import members


@pytest.mark.parametrize("pairs", range(2, 10))
def test_against_statsmodels(pairs):
    random = np.random.default_rng(pairs)
    for margin in (0.2, 1.0, 3.0):
        a, b = random.normal(0.3, 1, pairs), random.normal(0, 1, pairs)
        assert equivalence.p_values(a - b, margin) == pytest.approx(ttost_paired(a, b, -margin, margin)[0], rel=1e-9)


@pytest.mark.parametrize("pairs", [10, 11])
def test_against_every_flip(pairs):
    d = np.random.default_rng(pairs).normal(0.2, 1, pairs)
    signs = np.array(list(itertools.product((1, -1), repeat=pairs)))
    for margin in (0.5, 0.9, 1.5):
        sides = [float((signs @ (sign * d + margin) >= (sign * d + margin).sum() - 1e-12).mean()) for sign in (1, -1)]
        assert equivalence.p_values(d, margin) == pytest.approx(max(sides), abs=1e-12)


@pytest.mark.parametrize("pairs", [4, 9, 10, 13])
@pytest.mark.parametrize("level", [0.05, 0.05 / 7])
def test_equivalent_is_where_what_is_not_excluded_lies_within_the_margin(pairs, level):
    d = np.random.default_rng(pairs).normal(0.1, 1, (300, pairs))
    low, high = paired_tests.intervals(d, level=level, one_sided=True)
    seen = set()
    for margin in (0.4, 0.9, 2.0, 6.0):
        shown = equivalence.p_values(d, margin, level=level) <= level
        np.testing.assert_array_equal(shown, (-margin < low) & (high < margin))
        seen |= set(shown.tolist())
    assert seen == {True, False}


def test_what_is_not_excluded_holds_zero_and_is_an_interval_of_its_level():
    """Hsu and others (1994): with 0 in it, the interval of two tests at 5 % misses the truth in 5 %, not in 10."""
    number, covered, narrower = 4000, [], []
    for effect in (0.0, 0.3, 2.0):
        d = np.random.default_rng(1).normal(effect, 1, (number, 6))
        low, high = paired_tests.intervals(d, one_sided=True)
        covered.append(float(((np.minimum(low, 0) <= effect) & (effect <= np.maximum(high, 0))).mean()))
        narrower.append(float(((low <= effect) & (effect <= high)).mean()))
    print(f"not excluded: {covered}; without 0: {narrower}")
    assert min(covered) >= 0.95 - 3 * math.sqrt(0.05 * 0.95 / number)
    assert max(narrower) <= 0.92
    found = compare(members([0.0] * 5), members([0.02, 0.01, 0.03, 0.04, 0.01]))
    assert (found.verdict, found.excluded_below) == ("better", 0)


def test_what_is_excluded_is_the_ninety_percent_interval():
    d = np.array([0.01, -0.02, 0.03, 0.0, 0.01])
    found = compare(members([0.0] * 5), members(d))
    wanted = stats.ttest_1samp(d, 0).confidence_interval(0.9)
    assert (found.excluded_below, found.excluded_above) == pytest.approx(tuple(wanted), rel=1e-9)


def test_verdicts_with_a_margin():
    random = np.random.default_rng(0)
    base = random.normal(0.8, 0.01, 12)
    results = {"none": members(base)}
    for name, up, noise in (("same", 0.0, 0.001), ("noisy", 0.0, 0.02), ("little", 0.004, 0.001), ("much", 0.03, 0.001)):
        results[name] = members(base + up + random.normal(0, noise, 12))
    found = family("none", results, margin=0.01)
    assert [one.verdict for one in found.values()] == ["equivalent", "not distinguishable", "better", "better"]
    assert [one.within_margin for one in found.values()] == [True, False, True, False]
    for name, one in found.items():
        d = np.array([results[name][seed] - results["none"][seed] for seed in range(12)])
        assert one.equivalence == pytest.approx(min(1, 4 * equivalence.p_values(d, 0.01, level=0.0125)), rel=1e-9)
        assert one.seeds_for_margin == equivalence.pairs_needed(0.01 / d.std(ddof=1), level=0.0125)
    assert found["noisy"].seeds_for_margin > 12 > found["same"].seeds_for_margin
    without = family("none", results)
    assert [one.verdict for one in without.values()] == ["not distinguishable"] * 2 + ["better"] * 2
    assert {(one.margin, one.equivalence, one.within_margin) for one in without.values()} == {(None, None, False)}


def test_correction_decides_an_equivalence():
    """Alone it is shown; as one of a hundred it is not."""
    d = np.array([0.002, -0.001, 0.003, -0.004, 0.001])
    results = {"none": members([0.5] * 5), "same": members(0.5 + d)}
    assert family("none", results, margin=0.006)["same"].verdict == "equivalent"
    results |= {f"v{i}": members(0.5 + np.roll(d, i % 5)) for i in range(99)}
    assert family("none", results, margin=0.006)["same"].verdict == "not distinguishable"


@pytest.mark.parametrize("seeds", [5, 10])
def test_false_equivalence_at_the_margin(seeds):
    """The true differences are the margin: at most 5 % are called equivalent, and 5 % of them are where the noise is small."""
    number = 6000
    error = {}
    for noise in (0.1, 0.5):
        d = 1 + noise * np.random.default_rng(seeds).normal(size=(number, seeds))
        error[noise] = float((equivalence.p_values(d, 1.0) <= 0.05).mean())
    print(f"called equivalent at the margin, {seeds} seeds: {error}")
    assert max(error.values()) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / number)
    assert error[0.1] >= 0.05 - 3 * math.sqrt(0.05 * 0.95 / number) - (1 / 1024 if seeds == 10 else 0)


def test_a_family_at_its_margin():
    """Seven variants that share a baseline, all just as far from it as the margin: any is called equivalent in at most 5 %."""
    random, number = np.random.default_rng(3), 4000
    d = 1 + 0.1 * (random.normal(size=(number, 7, 5)) - random.normal(size=(number, 1, 5)))
    error = float((7 * equivalence.p_values(d, 1.0, level=0.05 / 7) <= 0.05).any(axis=1).mean())
    print(f"families with a false equivalence: {error:.4f}")
    assert 0.025 <= error <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / number)


@pytest.mark.parametrize("margin", [0.5, 1.0, 2.0])
def test_enough_pairs_show_what_is_equal(margin):
    pairs = equivalence.pairs_needed(margin, level=0.0125)
    for number, least, most in ((pairs, 0.76, 0.9), (pairs - 2, 0.0, 0.8)):
        d = np.random.default_rng(pairs).normal(size=(3000, number))
        t = stats.ttest_1samp(d, 0, axis=-1).confidence_interval(1 - 2 * 0.0125)
        found = float(((-margin < t.low) & (t.high < margin)).mean())
        print(f"equivalence within {margin} shown by {number} pairs: {found:.3f}")
        assert least <= found <= most


def test_margins_that_are_none():
    for bad in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(ValueError, match="a margin must be a finite number above 0"):
            equivalence.p_values(np.arange(5.0), bad)
    with pytest.raises(ValueError, match="pairs_needed needs a margin above 0"):
        equivalence.pairs_needed(0.0, level=0.05)
    assert equivalence.pairs_needed(1e-4, level=0.05) is None
