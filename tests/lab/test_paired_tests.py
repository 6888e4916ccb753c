"""Paired tests, intervals and power: against enumeration, closed forms, published numbers, and simulated sweeps."""

import math

import numpy as np
import pytest
from scipy import stats

from attention.lab import paired_tests
from attention.lab.comparisons import compare, family
from tests.support.pairs import DARWIN, flipped_p, members, noncentral

# Sign flips and t-test


def test_fishers_own_example():
    """Fisher: 863 of the 32,768 sums reach 314 on one side; Student's t is 2.148, its p 4.970 %."""
    assert paired_tests.p_values(np.array(DARWIN)) == 2 * 863 / 2**15 == flipped_p(DARWIN)
    assert compare(members([0] * 15), members(DARWIN)).p == 2 * 863 / 2**15
    nine = stats.ttest_1samp(DARWIN[:9], 0)
    assert paired_tests.p_values(np.array(DARWIN[:9])) == pytest.approx(nine.pvalue, rel=1e-12)


@pytest.mark.parametrize("pairs", [10, 11, 12])
@pytest.mark.parametrize("spread", [1, 3, 40])
def test_sign_flips_against_enumeration(pairs, spread):
    """Accuracies of 872 examples: differences that are equal in examples differ by rounding, and still tie."""
    random = np.random.default_rng(100 * pairs + spread)
    for _ in range(4):
        base = random.integers(700, 760, pairs)
        whole = random.integers(-spread, spread + 1, pairs) + random.integers(0, 2)
        found = compare(members(base / 872), members((base + whole) / 872))
        assert found.p == flipped_p(whole.tolist())
        assert found.smallest_p == 2.0 ** (1 - pairs)
        assert found.method == ("all sign flips" if len(set(whole.tolist())) > 1 else "all sign flips, no spread")


def test_ties_that_rounding_would_break():
    whole = [1, -2, 3, 1, -1, 2, 5, -3, 1, 2, 0]
    base = [701, 733, 712, 745, 699, 726, 738, 751, 717, 708, 740]
    found = compare(members([b / 872 for b in base]), members([(b + d) / 872 for b, d in zip(base, whole)]))
    assert found.p == flipped_p(whole)
    exact = np.array([(b + d) / 872 - b / 872 for b, d in zip(base, whole)])
    assert paired_tests.p_values(exact) != flipped_p(whole)  # without a tolerance, which is what the example is for


@pytest.mark.parametrize("pairs", [17, 40])
def test_drawn_flips(pairs):
    d = np.random.default_rng(pairs).normal(0.3, 1, pairs)
    p = paired_tests.p_values(d)
    signs = np.random.default_rng(1).integers(0, 2, (100_000, pairs), dtype=np.int8) * 2.0 - 1
    share = float((np.abs(signs @ d) >= abs(d.sum())).mean())
    assert p == pytest.approx(share, abs=5 * math.sqrt(share * (1 / 100_000 + 1 / paired_tests.FLIPS)))
    assert p == paired_tests.p_values(d)
    assert p != paired_tests.p_values(d, resampling_seed=1)
    assert round(float(p) * (paired_tests.FLIPS + 1), 6) % 1 == 0
    if pairs == 40:  # no drawn flip is one of the two that are as extreme
        assert paired_tests.p_values(np.arange(1.0, 41)) == paired_tests.smallest_p(40) == 1 / 65537
    assert paired_tests.method(pairs) == "65536 drawn sign flips"


def test_t_test_against_closed_forms():
    """The t distribution of 1, 2 and 4 degrees of freedom has one."""
    for d in ([1.0, 2.0], [0.3, -1.0], [5.0, 7.0]):
        t = np.mean(d) / (np.std(d, ddof=1) / 2**0.5)
        assert paired_tests.p_values(np.array(d)) == pytest.approx(1 - 2 / math.pi * math.atan(abs(t)), rel=1e-12)
    for d in ([1.0, 2.0, 4.0], [0.3, -1.0, 0.2]):
        t = abs(np.mean(d)) / (np.std(d, ddof=1) / 3**0.5)
        assert paired_tests.p_values(np.array(d)) == pytest.approx(1 - t / math.sqrt(2 + t**2), rel=1e-12)
    # differences 1 to 5: mean 3, s^2 = 10/4, t = 3 / sqrt(0.5); quantile 0.975 of 4 degrees 2.776445
    x = 18 / 22
    assert paired_tests.p_values(np.arange(1.0, 6)) == pytest.approx(1 - math.sqrt(x) * (1 + (1 - x) / 2), rel=1e-12)
    low, high = paired_tests.intervals(np.arange(1.0, 6))
    assert (low, high) == (pytest.approx(3 - 2.776445105 * 0.5**0.5), pytest.approx(3 + 2.776445105 * 0.5**0.5))


@pytest.mark.parametrize("pairs", range(2, 10))
def test_t_test_against_scipy(pairs):
    random = np.random.default_rng(pairs)
    seeds = random.normal(0.8, 0.1, pairs)
    base, variant = seeds + random.normal(0, 0.01, pairs), seeds + random.normal(0.005, 0.01, pairs)
    found = compare(members(base), members(variant))
    expected = stats.ttest_rel(variant, base)
    interval = expected.confidence_interval(0.95)
    assert (found.p, found.low, found.high) == pytest.approx((expected.pvalue, *interval), rel=1e-9)
    assert found.difference == pytest.approx(np.mean(variant) - np.mean(base), rel=1e-12)
    assert found.effect == pytest.approx(expected.statistic / pairs**0.5, rel=1e-9)
    assert (found.method, found.smallest_p) == ("paired t-test", 0.0)
    # the spread that seeds share is not in the way
    assert found.p < 0.9 * stats.ttest_ind(variant, base).pvalue or pairs == 2


def test_smallest_p():
    assert [paired_tests.smallest_p(n) for n in (1, 2, 9, 10, 16, 17, 99)] == [None, 0, 0, 2**-9, 2**-15, 1 / 65537, 1 / 65537]
    assert paired_tests.p_values(np.arange(10.0)) == 4 / 1024  # the 0 may have either sign
    assert paired_tests.p_values(np.arange(1.0, 11)) == 2 / 1024 == paired_tests.smallest_p(10)
    with pytest.raises(ValueError, match="pairs must be 1 or more, got 0"):
        paired_tests.smallest_p(0)
    with pytest.raises(ValueError, match="pairs must be 1 or more, got 0"):
        paired_tests.method(0)


# Intervals


@pytest.mark.parametrize("pairs", [10, 11])
@pytest.mark.parametrize("level", [0.05, 0.0125])
def test_ends_by_sign_flips_against_a_scan(pairs, level):
    """Inside the ends every value has a p above the level, outside none has: scipy's test of all flips, value by value."""
    d = np.random.default_rng(pairs).exponential(size=pairs) - 0.7

    def p(value):
        statistic = lambda x, axis: np.abs(x.mean(axis=axis))
        test = stats.permutation_test((d - value,), statistic, permutation_type="samples", alternative="greater", axis=0)
        return test.pvalue

    low, high = map(float, paired_tests.intervals(d, level=level))
    assert low < d.mean() < high
    for end, out in ((low, -1), (high, 1)):
        assert p(end + out * 1e-7) <= level < p(end - out * 1e-7)
    once = paired_tests.intervals(d, level=level, one_sided=True)
    assert tuple(map(float, once)) == tuple(map(float, paired_tests.intervals(d, level=2 * level)))


def test_ends_of_drawn_flips():
    d = np.random.default_rng(3).normal(0.3, 1, 30)
    low, high = paired_tests.intervals(d)
    assert (low, high) == pytest.approx(tuple(stats.ttest_1samp(d, 0).confidence_interval(0.95)), abs=0.06)
    assert (low, high) == paired_tests.intervals(d)
    assert (low, high) != paired_tests.intervals(d, resampling_seed=1)
    for end, out in ((low, -1), (high, 1)):
        assert paired_tests.p_values(d - end - out * 1e-6) <= 0.05 < paired_tests.p_values(d - end + out * 1e-6)


@pytest.mark.parametrize("pairs", [3, 9, 10, 12, 16, 17])
@pytest.mark.parametrize("level", [0.05, 0.05 / 7, 1e-3])
def test_an_interval_leaves_out_zero_where_the_test_rejects(pairs, level):
    """Also with ties: half of the rows are whole numbers, with sums of 0 among their parts."""
    random = np.random.default_rng(pairs)
    rows = 400 if pairs < 16 else 40
    effects = random.choice([0.0, 0.5, 1.0, 2.0], (rows, 1))
    for d in (random.normal(effects, 1, (rows, pairs)), np.round(random.normal(effects, 1.5, (rows, pairs)))):
        low, high = paired_tests.intervals(d, level=level)
        rejected = paired_tests.p_values(d, level=level) <= level
        np.testing.assert_array_equal((low > 0) | (high < 0), rejected)
        assert rejected.sum() < rows
        assert rejected.any() or pairs == 3
        below, above = paired_tests.intervals(d, level=level, one_sided=True)
        assert ((low <= below) & (above <= high)).all()


def test_few_pairs_of_one_difference_leave_nothing_out():
    for pairs, end in ((5, np.inf), (6, 0.3)):
        low, high = paired_tests.intervals(np.full(pairs, 0.3))
        assert (low, high) == (pytest.approx(-end if pairs == 5 else end), pytest.approx(end))


@pytest.mark.parametrize("pairs", [4, 10, 18])
def test_swapping_mirrors_and_order_does_not_matter(pairs):
    random = np.random.default_rng(pairs)
    base, variant = members(random.normal(size=pairs)), members(random.gamma(1, size=pairs))
    found, mirrored = compare(base, variant), compare(variant, base)
    assert (mirrored.difference, mirrored.effect) == pytest.approx((-found.difference, -found.effect), rel=1e-12)
    assert (mirrored.low, mirrored.high) == pytest.approx((-found.high, -found.low), rel=1e-9)
    assert (mirrored.p, mirrored.seeds_needed) == (pytest.approx(found.p, rel=1e-9), found.seeds_needed)
    shuffled = {seed: variant[seed] for seed in random.permutation(pairs).tolist()}
    assert compare(base, shuffled) == found
    scaled = compare({s: 100 * v for s, v in base.items()}, {s: 100 * v for s, v in variant.items()})
    assert (scaled.low, scaled.high, scaled.detectable) == pytest.approx(
        (100 * found.low, 100 * found.high, 100 * found.detectable), rel=1e-9
    )
    assert (scaled.p, scaled.effect) == (pytest.approx(found.p, rel=1e-9), pytest.approx(found.effect, rel=1e-9))


# Power


@pytest.mark.parametrize("level", [0.05, 0.05 / 7, 1e-4])
@pytest.mark.parametrize("pairs", [2, 3, 5, 9])
def test_power_against_an_integral(pairs, level):
    for effect in (0.0, 0.3, 1.0, 4.0, 40.0, 2e4):
        assert paired_tests.power(effect, pairs, level=level) == pytest.approx(noncentral(effect, pairs, level), abs=2e-5)
    effect = paired_tests.detectable_effect(pairs, level=level)
    assert noncentral(effect, pairs, level) == pytest.approx(0.8, abs=2e-5)


def test_power_against_published_sizes():
    """Pairs for power 0.8 at 0.05 two-sided of a small, medium and large effect: G*Power 3.1, matched pairs."""
    assert [paired_tests.pairs_needed(effect, level=0.05) for effect in (0.2, 0.5, 0.8)] == [199, 34, 15]


def test_power_of_sign_flips_knows_their_steps():
    # p of 10 pairs are multiples of 2/1024: of those at or below 0.05 / 7 = 7.3/1024 the greatest is 6/1024
    assert paired_tests.power(1.2, 10, level=0.05 / 7) == pytest.approx(noncentral(1.2, 10, 4 / 1024), abs=1e-5)
    assert paired_tests.power(1.2, 10, level=4 / 1024) == pytest.approx(noncentral(1.2, 10, 2 / 1024), abs=1e-5)
    # only 2/1024 is: ten differences that are all positive
    assert paired_tests.power(1.2, 10, level=0.05 / 20) == pytest.approx(stats.norm.cdf(1.2) ** 10, rel=1e-12)
    # of 40 variants none is, and there is a t-test instead; 11 pairs have 2/2048
    assert paired_tests.power(1.2, 10, level=0.05 / 40) == pytest.approx(noncentral(1.2, 10, 0.05 / 40), abs=1e-5)
    assert paired_tests.power(1.2, 11, level=0.05 / 40) == pytest.approx(stats.norm.cdf(1.2) ** 11, rel=1e-12)
    assert [paired_tests.method(pairs, level=0.05 / 40) for pairs in (10, 11)] == ["paired t-test", "all sign flips"]


@pytest.mark.parametrize("level", [0.05, 0.05 / 7])
def test_pairs_needed_against_a_scan(level):
    for effect in (0.15, 0.4, 0.9, 1.3, 2.5, 30.0):
        scan = next(n for n in range(2, 2000) if paired_tests.power(effect, n, level=level) >= 0.8)
        assert paired_tests.pairs_needed(effect, level=level) == scan
        assert paired_tests.pairs_needed(effect, level=level, beyond=scan) == scan + 1
    assert paired_tests.pairs_needed(0.0, level=level) is None
    assert paired_tests.pairs_needed(1e-6, level=level) is None


def test_power_of_values_out_of_range():
    for effect, pairs, level in ((-1.0, 5, 0.05), (math.inf, 5, 0.05), (1.0, 1, 0.05), (1.0, 5, 0.0), (1.0, 5, 1.0)):
        with pytest.raises(ValueError, match="power needs effect >= 0"):
            paired_tests.power(effect, pairs, level=level)
    with pytest.raises(ValueError, match="beyond must be 1 or more, got 0"):
        paired_tests.pairs_needed(1.0, level=0.05, beyond=0)


# Simulated sweeps


def sweeps(random, number, variants, seeds):
    """Differences of sweeps in which no variant does anything: all share one baseline, and a seed's own ease."""
    ease = random.normal(0, 5, (number, 1, seeds))
    baseline = random.normal(size=(number, 1, seeds))
    return random.normal(size=(number, variants, seeds)) + ease - (baseline + ease)


@pytest.mark.parametrize(
    ("seeds", "number", "least"), [pytest.param(5, 6000, 0.03, id="t-test"), pytest.param(10, 2000, 0.015, id="sign-flips")]
)
def test_family_wise_error_under_the_null(seeds, number, least):
    d = sweeps(np.random.default_rng(seeds), number, 7, seeds)
    p = paired_tests.p_values(d, level=0.05 / 7, tolerance=1e-12)
    error = float((7 * p <= 0.05).any(axis=1).mean())
    low, high = paired_tests.intervals(d, level=0.05 / 7)
    np.testing.assert_array_equal(((low > 0) | (high < 0)).any(axis=1), (7 * p <= 0.05).any(axis=1))
    print(f"family-wise error of 7 variants x {seeds} seeds, {number} sweeps: {error:.4f}")
    assert error <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / number)
    assert error >= least  # seven tests that share a baseline: below 0.05, and no test that never rejects
    assert float((p <= 0.05).any(axis=1).mean()) > 0.15  # what no correction would give
    for sweep in range(12):  # and a sweep as users see it has the same numbers
        results = {"none": members([0.0] * seeds)} | {f"v{i}": members(d[sweep, i]) for i in range(7)}
        found = family("none", results)
        assert [row.p for row in found.values()] == pytest.approx(p[sweep].tolist(), rel=1e-9)


def test_family_wise_error_of_accuracies_with_ties():
    """Differences of -3 to 3 examples: sign flips keep their level."""
    d = np.random.default_rng(4).integers(-3, 4, (1000, 7, 10)) / 872
    error = float((7 * paired_tests.p_values(d, tolerance=1e-12) <= 0.05).any(axis=1).mean())
    print(f"family-wise error of accuracies with ties: {error:.4f}")
    assert 0.005 <= error <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 1000)  # many ties: well below its level


def coverage(d, mean):
    low, high = paired_tests.intervals(d)
    return float(((low <= mean) & (mean <= high)).mean())


@pytest.mark.parametrize("pairs", [2, 5, 9])
def test_t_intervals_cover_at_their_rate(pairs):
    found = coverage(np.random.default_rng(pairs).normal(0.3, 1, (20_000, pairs)), 0.3)
    print(f"coverage of the Student-t interval at {pairs} pairs: {found:.4f}")
    assert found == pytest.approx(0.95, abs=3 * math.sqrt(0.05 * 0.95 / 20_000))


@pytest.mark.parametrize(
    ("pairs", "shape", "least"), [(10, "normal", 0.94), (12, "normal", 0.94), (12, "uniform", 0.94), (12, "skewed", 0.88)]
)
def test_intervals_by_sign_flips_cover(pairs, shape, least):
    """Of symmetric differences exactly, but for the steps of p: 95.1 % at 10 pairs. Of skewed ones 91 %."""
    random = np.random.default_rng(pairs)
    draw = {"normal": random.normal, "uniform": lambda size: random.uniform(-1, 1, size), "skewed": random.exponential}[shape]
    found = coverage(draw(size=(4000, pairs)), 1.0 if shape == "skewed" else 0.0)
    print(f"coverage of the interval by sign flips at {pairs} {shape} pairs: {found:.4f}")
    assert least <= found <= 0.965


@pytest.mark.parametrize(
    ("pairs", "variants", "number"),
    [(3, 7, 20_000), (5, 7, 20_000), (10, 3, 5000), (10, 7, 5000), (10, 20, 5000), (12, 20, 2000)],
)
def test_what_is_detectable_is_detected(pairs, variants, number):
    """At the level of the first step of so many variants."""
    level = 0.05 / variants
    effect = paired_tests.detectable_effect(pairs, level=level)
    d = np.random.default_rng(pairs).normal(2 * effect, 2, (number, pairs))
    found = float(((paired_tests.p_values(d, level=level) <= level) & (d.mean(axis=1) > 0)).mean())
    print(f"detected at {pairs} pairs, {variants} variants: {found:.4f}")
    # the power of sign flips is an approximation; of the t-test it is exact
    assert found == pytest.approx(0.8, abs=(0.02 if pairs >= 10 else 0.0) + 3 * 0.4 / math.sqrt(number))
