"""Statistics of sweeps: against enumeration, closed forms, published examples, and simulated sweeps."""

import doctest
import inspect
import itertools
import json
import math

import numpy as np
import pytest
from scipy import stats

from attention.lab import paired, statistics
from attention.lab.statistics import compare, family, interactions, mcnemar, shared_errors

# Darwin's 15 pairs of maize, height of the crossed plant less that of the selfed in eighths of an inch: Fisher (1935), §17.
DARWIN = [49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48]


def members(values):
    return dict(enumerate(values))


def flipped_p(whole):
    """All sign flips of whole numbers, one by one."""
    observed = abs(sum(whole))
    flips = [abs(sum(sign * d for sign, d in zip(signs, whole))) for signs in itertools.product((1, -1), repeat=len(whole))]
    return sum(flip >= observed for flip in flips) / len(flips)


# Sign flips and t-test


def test_fishers_own_example():
    """Fisher: 863 of the 32,768 sums reach 314 on one side; Student's t is 2.148, its p 4.970 %."""
    assert paired.p_values(np.array(DARWIN)) == 2 * 863 / 2**15 == flipped_p(DARWIN)
    assert compare(members([0] * 15), members(DARWIN)).p == 2 * 863 / 2**15
    nine = stats.ttest_1samp(DARWIN[:9], 0)
    assert paired.p_values(np.array(DARWIN[:9])) == pytest.approx(nine.pvalue, rel=1e-12)


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
        assert found.method == ("all sign flips, BCa interval" if len(set(whole.tolist())) > 1 else "all sign flips, no spread")


def test_ties_that_rounding_would_break():
    whole = [1, -2, 3, 1, -1, 2, 5, -3, 1, 2, 0]
    base = [701, 733, 712, 745, 699, 726, 738, 751, 717, 708, 740]
    found = compare(members([b / 872 for b in base]), members([(b + d) / 872 for b, d in zip(base, whole)]))
    assert found.p == flipped_p(whole)
    exact = np.array([(b + d) / 872 - b / 872 for b, d in zip(base, whole)])
    assert paired.p_values(exact) != flipped_p(whole)  # without a tolerance, which is what the example is for


@pytest.mark.parametrize("pairs", [17, 40])
def test_drawn_flips(pairs):
    d = np.random.default_rng(pairs).normal(0.3, 1, pairs)
    p = paired.p_values(d)
    signs = np.random.default_rng(1).integers(0, 2, (100_000, pairs), dtype=np.int8) * 2.0 - 1
    share = float((np.abs(signs @ d) >= abs(d.sum())).mean())
    assert p == pytest.approx(share, abs=5 * math.sqrt(share * (1 / 100_000 + 1 / paired.FLIPS)))
    assert p == paired.p_values(d)
    assert p != paired.p_values(d, resampling_seed=1)
    assert round(float(p) * (paired.FLIPS + 1), 6) % 1 == 0
    if pairs == 40:  # no drawn flip is one of the two that are as extreme
        assert paired.p_values(np.arange(1.0, 41)) == paired.smallest_p(40) == 1 / 65537
    assert paired.method(pairs) == "65536 drawn sign flips, BCa interval"


def test_t_test_against_closed_forms():
    """The t distribution of 1, 2 and 4 degrees of freedom has one."""
    for d in ([1.0, 2.0], [0.3, -1.0], [5.0, 7.0]):
        t = np.mean(d) / (np.std(d, ddof=1) / 2**0.5)
        assert paired.p_values(np.array(d)) == pytest.approx(1 - 2 / math.pi * math.atan(abs(t)), rel=1e-12)
    for d in ([1.0, 2.0, 4.0], [0.3, -1.0, 0.2]):
        t = abs(np.mean(d)) / (np.std(d, ddof=1) / 3**0.5)
        assert paired.p_values(np.array(d)) == pytest.approx(1 - t / math.sqrt(2 + t**2), rel=1e-12)
    # differences 1 to 5: mean 3, s^2 = 10/4, t = 3 / sqrt(0.5); quantile 0.975 of 4 degrees 2.776445
    x = 18 / 22
    assert paired.p_values(np.arange(1.0, 6)) == pytest.approx(1 - math.sqrt(x) * (1 + (1 - x) / 2), rel=1e-12)
    low, high = paired.intervals(np.arange(1.0, 6))
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
    assert (found.method, found.smallest_p) == ("paired t-test, Student-t interval", 0.0)
    # the spread that seeds share is not in the way
    assert found.p < 0.9 * stats.ttest_ind(variant, base).pvalue or pairs == 2


def test_smallest_p():
    assert [paired.smallest_p(n) for n in (1, 2, 9, 10, 16, 17, 99)] == [None, 0, 0, 2**-9, 2**-15, 1 / 65537, 1 / 65537]
    assert paired.p_values(np.arange(10.0)) == 4 / 1024  # the 0 may have either sign
    assert paired.p_values(np.arange(1.0, 11)) == 2 / 1024 == paired.smallest_p(10)
    with pytest.raises(ValueError, match="pairs wants 1 or more, got 0"):
        paired.smallest_p(0)
    with pytest.raises(ValueError, match="pairs wants 1 or more, got 0"):
        paired.method(0)


# Intervals


@pytest.mark.parametrize("pairs", [10, 13, 25])
def test_bca_against_its_formula(pairs):
    """Efron (1987) written again, on draws of our own; skewed differences, where a percentile interval lies elsewhere."""
    d = stats.expon.ppf((np.arange(pairs) + 0.5) / pairs) - 0.7
    means = d[np.random.default_rng(5).integers(0, pairs, (200_000, pairs))].mean(axis=1)
    z0 = stats.norm.ppf((means < d.mean()).mean())
    left = np.array([np.delete(d, i).mean() for i in range(pairs)])
    bend = ((left.mean() - left) ** 3).sum() / (6 * ((left.mean() - left) ** 2).sum() ** 1.5)
    z = math.sqrt(pairs / (pairs - 1)) * stats.t.ppf([0.025, 0.975], pairs - 1)
    expected = np.quantile(means, stats.norm.cdf(z0 + (z0 + z) / (1 - bend * (z0 + z))))
    low, high = paired.intervals(d)
    width = expected[1] - expected[0]
    assert (low, high) == pytest.approx(tuple(expected), abs=0.04 * width)
    percentile = np.quantile(means, stats.norm.cdf(z))
    assert percentile[1] < expected[1] - 0.06 * width
    plain = np.quantile(means, [0.025, 0.975])
    assert plain[1] - plain[0] < 0.9 * width
    assert (low, high) == paired.intervals(d)
    assert (low, high) != paired.intervals(d, resampling_seed=1)


def test_bca_of_symmetric_differences_is_the_t_interval():
    d = stats.norm.ppf((np.arange(30) + 0.5) / 30)
    low, high = paired.intervals(d)
    t_low, t_high = stats.ttest_1samp(d, 0).confidence_interval(0.95)
    assert (low, high) == pytest.approx((t_low, t_high), rel=0.05)


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


# Holm


def test_holm_by_hand():
    # ordered 0.005 0.01 0.03 0.04, times 4 3 2 1 is 0.02 0.03 0.06 0.04, and none below the one before it
    np.testing.assert_allclose(paired.holm(np.array([0.01, 0.04, 0.03, 0.005])), [0.03, 0.06, 0.06, 0.02], rtol=1e-15)
    np.testing.assert_array_equal(paired.holm(np.array([0.6, 0.7])), [1, 1])
    np.testing.assert_array_equal(paired.holm(np.array([0.03])), [0.03])
    assert paired.holm(np.array([])).shape == (0,)
    for bad in ([0.1, np.nan], [1.1], [-0.1]):
        with pytest.raises(ValueError, match="p-values want numbers of 0 to 1"):
            paired.holm(np.array(bad))


def test_holm_rejects_what_its_steps_reject():
    """The procedure as Holm states it: from the smallest p on, reject while p <= level / (number not yet rejected)."""
    random = np.random.default_rng(3)
    families = np.round(random.uniform(size=(300, 6)) ** 4, 3)  # small, and with ties
    adjusted = paired.holm(families)
    assert (adjusted >= families).all()
    for p, found in zip(families, adjusted):
        for level in (0.01, 0.05, 0.2):
            rejected = set()
            for left, i in zip(range(6, 0, -1), np.argsort(p, kind="stable")):
                if p[i] * left > level:
                    break
                rejected.add(int(i))
            assert set(np.flatnonzero(found <= level).tolist()) == rejected


# Power


def noncentral(effect, pairs, level):
    """P(Z + shift > q V) over the normal Z, V^2 chi-squared over its degrees of freedom: a sum over Z."""
    z = np.linspace(-9, 9, 60_001)
    reach = np.maximum(z + effect * math.sqrt(pairs), 0) / stats.t.ppf(1 - level / 2, pairs - 1)
    return np.trapezoid(stats.norm.pdf(z) * stats.chi2.cdf((pairs - 1) * reach**2, pairs - 1), z)


@pytest.mark.parametrize("level", [0.05, 0.05 / 7, 1e-4])
@pytest.mark.parametrize("pairs", [2, 3, 5, 9])
def test_power_against_an_integral(pairs, level):
    for effect in (0.0, 0.3, 1.0, 4.0, 40.0, 2e4):
        assert paired.power(effect, pairs, level=level) == pytest.approx(noncentral(effect, pairs, level), abs=2e-5)
    effect = paired.detectable_effect(pairs, level=level)
    assert noncentral(effect, pairs, level) == pytest.approx(0.8, abs=2e-5)


def test_power_against_published_sizes():
    """Pairs for power 0.8 at 0.05 two-sided of a small, medium and large effect: G*Power 3.1, matched pairs."""
    assert [paired.pairs_needed(effect, level=0.05) for effect in (0.2, 0.5, 0.8)] == [199, 34, 15]


def test_power_of_sign_flips_knows_their_steps():
    # p of 10 pairs are multiples of 2/1024: of those at or below 0.05 / 7 = 7.3/1024 the greatest is 6/1024
    assert paired.power(1.2, 10, level=0.05 / 7) == pytest.approx(noncentral(1.2, 10, 4 / 1024), abs=1e-5)
    assert paired.power(1.2, 10, level=4 / 1024) == pytest.approx(noncentral(1.2, 10, 2 / 1024), abs=1e-5)
    # only 2/1024 is: ten differences that are all positive
    assert paired.power(1.2, 10, level=0.05 / 20) == pytest.approx(stats.norm.cdf(1.2) ** 10, rel=1e-12)
    assert paired.power(100.0, 10, level=0.05 / 40) == 0
    assert paired.detectable_effect(10, level=0.05 / 40) is None
    assert paired.detectable_effect(11, level=0.05 / 40) is not None
    # 40 variants of an obvious effect: four pairs do, ten do not
    assert paired.pairs_needed(20.0, level=0.05 / 40) == 4
    assert paired.pairs_needed(20.0, level=0.05 / 40, beyond=9) == 11


@pytest.mark.parametrize("level", [0.05, 0.05 / 7])
def test_pairs_needed_against_a_scan(level):
    for effect in (0.15, 0.4, 0.9, 1.3, 2.5, 30.0):
        scan = next(n for n in range(2, 2000) if paired.power(effect, n, level=level) >= 0.8)
        assert paired.pairs_needed(effect, level=level) == scan
        assert paired.pairs_needed(effect, level=level, beyond=scan) == scan + 1
    assert paired.pairs_needed(0.0, level=level) is None
    assert paired.pairs_needed(1e-6, level=level) is None


def test_power_of_values_out_of_range():
    for effect, pairs, level in ((-1.0, 5, 0.05), (math.inf, 5, 0.05), (1.0, 1, 0.05), (1.0, 5, 0.0), (1.0, 5, 1.0)):
        with pytest.raises(ValueError, match="power wants effect >= 0"):
            paired.power(effect, pairs, level=level)
    with pytest.raises(ValueError, match="beyond wants 1 or more, got 0"):
        paired.pairs_needed(1.0, level=0.05, beyond=0)


# One comparison


def test_failed_and_missing_members_are_left_out_and_counted():
    base = {0: 0.5, 1: 0.6, 2: None, 3: 0.4, 4: 0.5}
    variant = {4: 0.7, 3: 0.5, 1: None, 0: 0.8, 9: 0.9}
    found = compare(base, variant)
    assert (found.pairs, found.left_out) == (3, 3)  # 1, 2 and 9
    assert found == compare({0: 0.5, 3: 0.4, 4: 0.5}, {0: 0.8, 3: 0.5, 4: 0.7})._replace(left_out=3)


def test_one_seed_gives_no_verdict():
    found = compare({0: 0.5, 1: 0.6}, {0: 0.9})
    assert (found.pairs, found.left_out, found.difference, found.verdict) == (1, 1, pytest.approx(0.4), "one seed")
    nothing = ("low", "high", "p", "smallest_p", "effect", "detectable", "seeds_needed", "adjusted")
    assert all(getattr(found, name) is None for name in nothing)
    assert (found.method, found.comparisons) == ("none", 0)


def test_no_pair_names_both():
    with pytest.raises(ValueError, match=r"^rope and none have no seed in common that both finished; 2 left out$"):
        compare({0: 0.5, 1: None}, {1: 0.6}, names=("none", "rope"))
    with pytest.raises(ValueError, match="variant and baseline have no seed in common"):
        compare({}, {})


@pytest.mark.parametrize("pairs", [2, 5, 10, 20])
def test_no_difference_at_all(pairs):
    values = np.random.default_rng(0).uniform(size=pairs)
    found = compare(members(values), members(values))
    assert (found.difference, found.low, found.high, found.p, found.verdict) == (0, 0, 0, 1, "not distinguishable")
    assert (found.effect, found.detectable, found.seeds_needed) == (None, None, None)
    assert found.method == "all sign flips, no spread"
    # 0.1 + 0.2 and 0.3: equal but for rounding
    rounded = compare(members(values + 0.3), members((values + 0.1) + 0.2))
    assert rounded == found


@pytest.mark.parametrize("pairs", [2, 5, 6, 10, 20])
def test_the_same_difference_for_every_seed(pairs):
    values = np.random.default_rng(0).uniform(size=pairs)
    found = compare(members(values), members(values + 0.1))
    assert found.p == found.smallest_p == 2.0 ** (1 - pairs)
    assert (found.difference, found.low, found.high) == pytest.approx((0.1, 0.1, 0.1), abs=1e-15)
    assert found.low == found.high
    assert (found.effect, found.detectable) == (None, None)
    assert found.seeds_needed == 6  # 2^-5 = 0.031 is the first at or below 0.05
    assert found.verdict == ("better" if pairs >= 6 else "not distinguishable")


def test_differences_of_mean_zero():
    found = compare(members([0.1, 0.7, 0.4, 0.4]), members([0.2, 0.6, 0.4, 0.4]))
    assert (found.difference, found.effect, found.seeds_needed, found.verdict) == (0, 0, None, "not distinguishable")
    assert found.p == pytest.approx(1)


@pytest.mark.parametrize("pairs", [10, 17])
def test_all_but_one_difference_is_zero(pairs):
    found = compare(members([0.5] * pairs), members([0.9] + [0.5] * (pairs - 1)))
    assert found.p == 1  # either sign of the one is as extreme
    assert found.low < found.difference < found.high
    assert found.verdict == "not distinguishable"


def test_lower_may_be_better():
    base, variant = members([1.0, 1.1, 0.9, 1.0]), members([0.8, 0.85, 0.72, 0.81])
    worse, better = compare(base, variant), compare(base, variant, higher_is_better=False)
    assert (worse.verdict, better.verdict) == ("worse", "better")
    assert worse._replace(verdict="") == better._replace(verdict="")


def test_power_figures_of_a_comparison():
    d = np.array([0.01, 0.02, -0.01, 0.015, 0.03])
    found = compare(members(np.zeros(5)), members(d))
    assert found.detectable == pytest.approx(paired.detectable_effect(5, level=0.05) * d.std(ddof=1), rel=1e-12)
    effect = d.mean() / d.std(ddof=1)
    assert noncentral(effect, found.seeds_needed, 0.05) >= 0.8 > noncentral(effect, found.seeds_needed - 1, 0.05)
    assert found.seeds_needed > 5
    assert found.verdict == "not distinguishable"


def test_numbers_that_cannot_be_compared():
    for bad in (math.nan, math.inf, "0.5"):
        with pytest.raises(ValueError, match=r"^variant has .* for seed 1; a member is a finite number, or None"):
            compare({0: 0.5, 1: 0.5}, {0: 0.5, 1: bad})
    for bad in ("0", 0.0, True, None):
        with pytest.raises(ValueError, match="seeds want integers, baseline has"):
            compare({bad: 0.5}, {0: 0.5})
    for bad in (np.array(1.0), np.ones((3, 1))):
        with pytest.raises(ValueError, match="want two or more"):
            paired.p_values(bad)
    with pytest.raises(ValueError, match="want finite numbers"):
        paired.intervals(np.array([1.0, np.nan]))


# Families


def test_family_corrects_over_those_that_have_a_p():
    random = np.random.default_rng(8)
    results = {"none": members(random.normal(0.8, 0.01, 5))}
    for i in range(4):
        results[f"v{i}"] = {seed: v + random.normal(0.008 * i, 0.004) for seed, v in results["none"].items()}
    results |= {"one": {0: 0.9, 7: 0.9}, "failed": dict.fromkeys(range(5)), "empty": {}}
    found = family("none", results)
    assert list(found) == ["v0", "v1", "v2", "v3", "one", "failed", "empty"]
    alone = {name: compare(results["none"], results[name]) for name in ("v0", "v1", "v2", "v3")}
    expected = paired.holm(np.array([single.p for single in alone.values()]))
    for (name, single), adjusted in zip(alone.items(), expected):
        variant = found[name]
        assert (variant.p, variant.low, variant.high, variant.effect) == (single.p, single.low, single.high, single.effect)
        assert variant.adjusted == adjusted >= single.adjusted == single.p
        assert variant.verdict == ("better" if adjusted <= 0.05 else "not distinguishable")
        # Holm's first step compares the smallest p with 0.05 / 4
        d = np.array([results[name][s] - results["none"][s] for s in range(5)])
        assert variant.detectable == pytest.approx(paired.detectable_effect(5, level=0.0125) * d.std(ddof=1), rel=1e-12)
        assert variant.seeds_needed >= single.seeds_needed
        assert variant.comparisons == 4
    assert {found[name].verdict for name in alone} == {"better", "not distinguishable"}
    assert (found["one"].verdict, found["one"].left_out, found["one"].adjusted) == ("one seed", 5, None)
    for name in ("failed", "empty"):
        assert found[name] == statistics.Comparison(pairs=0, left_out=5, comparisons=4, verdict="no pair")
    assert all(isinstance(value, (int, float, str, type(None))) for row in found.values() for value in row)
    json.dumps({name: row._asdict() for name, row in found.items()}, allow_nan=False)
    assert family("none", results) == found


def test_correction_decides_a_verdict():
    """p = 0.0132 alone: better; with four more that differ by nothing, 5 times that: not distinguishable."""
    results = {"none": members([0.0] * 5), "up": members([0.2, 0.1, 0.4, 0.3, 0.5])}
    assert family("none", results)["up"].verdict == "better"
    results |= {f"v{i}": members([0.0] * 5) for i in range(4)}
    found = family("none", results)["up"]
    assert (found.adjusted, found.verdict) == (pytest.approx(5 * found.p), "not distinguishable")


def test_a_family_too_large_for_its_seeds():
    """Ten sign flips give p of 2/1024 at best, 40 times that is above 0.05: as obvious as it may be, more seeds are needed."""
    results = {"none": members([0.0] * 10)} | {f"v{i}": members([0.0] * 10) for i in range(39)}
    results["up"] = members(np.linspace(0.9, 1.1, 10))
    found = family("none", results)["up"]
    assert found.p == found.smallest_p == 2 / 1024
    assert (found.adjusted, found.verdict) == (40 * 2 / 1024, "not distinguishable")
    assert (found.detectable, found.seeds_needed) == (None, 11)


def test_variants_of_one_family_may_have_other_tests():
    random = np.random.default_rng(2)
    results = {name: members(random.normal(size=12)) for name in ("none", "all", "few")}
    results["few"] |= dict.fromkeys(range(5))
    found = family("none", results)
    assert [found[name].method.split(",")[0] for name in ("all", "few")] == ["all sign flips", "paired t-test"]


def test_families_that_cannot_be_compared():
    results = {"none": {0: 0.5}, "rope": {0: 0.6}, "dead": {0: None}}
    with pytest.raises(ValueError, match=r"^unknown baseline 'rop' \(nearest: 'rope'\); known: none, rope, dead$"):
        family("rop", results)
    with pytest.raises(ValueError, match="the baseline 'dead' has no finished member"):
        family("dead", results)
    with pytest.raises(ValueError, match="rope has nan for seed 0"):
        family("none", results | {"rope": {0: math.nan}})
    assert family("none", {"none": {0: 0.5}}) == {}


# Grids


def grid_of(seeds):
    """Additive effects, and 0.05 more for c with y."""
    random = np.random.default_rng(1)
    values = {}
    for (a, up), (b, more) in itertools.product({"a": 0.0, "b": 0.1, "c": 0.2}.items(), {"x": 0.0, "y": -0.05}.items()):
        extra = 0.05 if (a, b) == ("c", "y") else 0.0
        values[a, b] = members(0.5 + up + more + extra + random.normal(0, 0.002, seeds))
    return values


def test_interactions_find_what_is_not_a_sum():
    grid = grid_of(6)
    found = interactions(grid, ("a", "x"))
    assert list(found) == [("b", "y"), ("c", "y")]
    assert [row.verdict for row in found.values()] == ["not distinguishable", "better"]
    assert found["c", "y"].low < 0.05 < found["c", "y"].high
    for (a, b), row in found.items():
        contrast = [grid[a, b][s] - grid["a", b][s] - grid[a, "x"][s] + grid["a", "x"][s] for s in range(6)]
        expected = stats.ttest_1samp(contrast, 0)
        assert (row.difference, row.p) == pytest.approx((np.mean(contrast), expected.pvalue), rel=1e-9)
        assert row.comparisons == 2
    assert found["c", "y"].adjusted == pytest.approx(2 * found["c", "y"].p)
    losses = interactions(grid, ("a", "x"), higher_is_better=False)
    assert losses["c", "y"].verdict == "worse"
    # from the other corner, one axis reversed: the contrast changes its sign
    assert interactions(grid, ("c", "x"))["a", "y"].difference == pytest.approx(-found["c", "y"].difference, rel=1e-9)


def test_interaction_of_exact_sums_is_nothing():
    axes = itertools.product(enumerate("ab"), enumerate("xyz"))
    grid = {(a, b): members([0.1 * i + 0.3 * j + 0.07 * s for s in range(5)]) for (i, a), (j, b) in axes}
    for row in interactions(grid, ("b", "y")).values():
        assert (row.difference, row.low, row.high, row.p, row.verdict) == (0, 0, 0, 1, "not distinguishable")


def test_a_member_that_fails_anywhere_leaves_its_contrast_out():
    grid = grid_of(4)
    grid["a", "y"][2] = None
    del grid["c", "x"][0]
    found = interactions(grid, ("a", "x"))
    assert [(row.pairs, row.left_out) for row in found.values()] == [(3, 1), (2, 2)]
    grid["c", "y"] = dict.fromkeys(range(4))
    assert interactions(grid, ("a", "x"))["c", "y"].verdict == "no pair"


def test_grids_that_cannot_be_compared():
    grid = grid_of(3)
    with pytest.raises(ValueError, match=r"unknown baseline 'z' of the second axis; known: x, y"):
        interactions(grid, ("a", "z"))
    with pytest.raises(ValueError, match=r"unknown baseline 'sofmax' of the first axis \(nearest: 'softmax'\)"):
        interactions({("softmax", "x"): {0: 1.0}}, ("sofmax", "x"))
    del grid["b", "y"]
    with pytest.raises(ValueError, match=r"the grid of 3 x 2 values lacks 1 of its cells, the first is \('b', 'y'\)"):
        interactions(grid, ("a", "x"))
    assert interactions({("a", "x"): {0: 1.0}, ("a", "y"): {0: 1.0}}, ("a", "x")) == {}


# Example by example


def runs(both, only_a, only_b, neither):
    a = np.repeat([True, True, False, False], [both, only_a, only_b, neither])
    b = np.repeat([True, False, True, False], [both, only_a, only_b, neither])
    order = np.random.default_rng(0).permutation(len(a))
    return a[order], b[order]


def test_mcnemar_against_published_examples():
    # Agresti (1990), p. 350, approval of a president in two surveys: z^2 = 17.36; exact p as R's exact2x2 prints it
    found = mcnemar(*runs(794, 150, 86, 570))
    assert (found.both, found.only_a, found.only_b, found.neither) == (794, 150, 86, 570)
    assert found.difference == (86 - 150) / 1600
    assert found.p == pytest.approx(3.716e-05, rel=1e-4)
    assert (found.only_a - found.only_b) ** 2 / (found.only_a + found.only_b) == pytest.approx(17.3559, abs=1e-4)


@pytest.mark.parametrize(("only_a", "only_b"), [(6, 16), (16, 6), (1, 0), (5, 5), (0, 6), (3, 40)])
def test_mcnemar_against_binomial_sums(only_a, only_b):
    n = only_a + only_b
    tail = sum(math.comb(n, k) for k in range(min(only_a, only_b) + 1)) / 2**n
    assert mcnemar(*runs(9, only_a, only_b, 4)).p == pytest.approx(min(1, 2 * tail), rel=1e-12)


def test_mcnemar_of_runs_that_never_differ():
    assert mcnemar(*runs(3, 0, 0, 2)) == (3, 0, 0, 2, 0.0, 1.0)


def test_shared_errors_by_hand():
    # 20 examples; a errs on 8, b on 6, both on 4: 2.4 by chance. Agreement 0.7; by chance (8 * 6 + 12 * 14) / 400 = 0.54
    found = shared_errors(*runs(10, 2, 4, 4))
    assert found[:3] == (8, 6, 4)
    assert found[3:] == pytest.approx((2.4, 8 / 14, 4.8 / 14, (0.7 - 0.54) / (1 - 0.54)), rel=1e-12)
    assert shared_errors(*runs(5, 0, 0, 3))[4:] == (1, 3 / 8, 1)
    assert shared_errors(*runs(0, 5, 5, 0))[4:] == (0, 0.5, -1)
    assert shared_errors(*runs(4, 2, 2, 1))[3:] == (1, 2 / 6, 2 / 6, 0)  # 3 x 3 / 9: as many as by chance
    assert shared_errors(*runs(7, 0, 0, 0)) == (0, 0, 0, 0.0, None, None, None)
    assert shared_errors(*runs(0, 0, 0, 7)) == (7, 7, 7, 7.0, 1.0, 1.0, None)
    assert shared_errors(*runs(0, 7, 0, 0))[4:] == (0, 0, 0)


def test_independent_runs_share_what_is_expected():
    random = np.random.default_rng(0)
    found = [shared_errors(random.uniform(size=500) < 0.8, random.uniform(size=500) < 0.7) for _ in range(400)]
    assert np.mean([row.share - row.expected_share for row in found]) == pytest.approx(0, abs=4 * 0.03 / 20)
    assert np.mean([row.consistency for row in found]) == pytest.approx(0, abs=4 * 0.045 / 20)


@pytest.mark.parametrize("function", [mcnemar, shared_errors])
def test_runs_that_cannot_be_compared(function):
    with pytest.raises(ValueError, match=r"one shape \[n\], n of 1 or more, got \(3,\) and \(4,\)"):
        function(np.ones(3, bool), np.ones(4, bool))
    with pytest.raises(ValueError, match="n of 1 or more"):
        function(np.ones(0, bool), np.ones(0, bool))
    with pytest.raises(ValueError, match="correct wants bool, got int64 and bool"):
        function(np.ones(3, int), np.ones(3, bool))


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
    p = paired.p_values(d, tolerance=1e-12)
    error = float((paired.holm(p) <= 0.05).any(axis=1).mean())
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
    error = float((paired.holm(paired.p_values(d, tolerance=1e-12)) <= 0.05).any(axis=1).mean())
    print(f"family-wise error of accuracies with ties: {error:.4f}")
    assert 0.005 <= error <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 1000)  # many ties: well below its level


def coverage(d, mean):
    low, high = paired.intervals(d)
    return float(((low <= mean) & (mean <= high)).mean())


@pytest.mark.parametrize("pairs", [2, 5, 9])
def test_t_intervals_cover_at_their_rate(pairs):
    found = coverage(np.random.default_rng(pairs).normal(0.3, 1, (20_000, pairs)), 0.3)
    print(f"coverage of the Student-t interval at {pairs} pairs: {found:.4f}")
    assert found == pytest.approx(0.95, abs=3 * math.sqrt(0.05 * 0.95 / 20_000))


@pytest.mark.parametrize(
    ("pairs", "shape", "least"), [(10, "normal", 0.925), (12, "normal", 0.925), (12, "uniform", 0.94), (12, "skewed", 0.90)]
)
def test_bca_intervals_cover(pairs, shape, least):
    """Least: measured on 20,000 less three standard errors of the 2,000 here. Plain BCa covers 90, 93 and 88 % at 12 pairs."""
    random = np.random.default_rng(pairs)
    draw = {"normal": random.normal, "uniform": lambda size: random.uniform(-1, 1, size), "skewed": random.exponential}[shape]
    found = coverage(draw(size=(2000, pairs)), 1.0 if shape == "skewed" else 0.0)
    print(f"coverage of the BCa interval at {pairs} {shape} pairs: {found:.4f}")
    assert least <= found <= 0.975


@pytest.mark.parametrize(
    ("pairs", "variants", "number"),
    [(3, 7, 20_000), (5, 7, 20_000), (10, 3, 5000), (10, 7, 5000), (10, 20, 5000), (12, 20, 2000)],
)
def test_what_is_detectable_is_detected(pairs, variants, number):
    """At the level of the first step of so many variants."""
    level = 0.05 / variants
    effect = paired.detectable_effect(pairs, level=level)
    d = np.random.default_rng(pairs).normal(2 * effect, 2, (number, pairs))
    found = float(((paired.p_values(d) <= level) & (d.mean(axis=1) > 0)).mean())
    print(f"detected at {pairs} pairs, {variants} variants: {found:.4f}")
    # the power of sign flips is an approximation; of the t-test it is exact
    assert found == pytest.approx(0.8, abs=(0.02 if pairs >= 10 else 0.0) + 3 * 0.4 / math.sqrt(number))


# Documentation


@pytest.mark.parametrize("module", [paired, statistics], ids=lambda module: module.__name__)
def test_examples_are_true(module):
    found = doctest.testmod(module, optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    assert found.failed == 0 < found.attempted
    for name, function in inspect.getmembers(module, inspect.isfunction):
        if function.__module__ == module.__name__ and not name.startswith("_"):
            text = inspect.getdoc(function)
            assert all(f"{part}:" in text for part in ("Example", "Args", "Returns", "Raises", "Source")), name
            assert all(f"{argument}:" in text for argument in inspect.signature(function).parameters), name
