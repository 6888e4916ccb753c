"""What a report of a sweep calls: comparisons, families and grids."""

import doctest
import inspect
import itertools
import json
import math

import numpy as np
import pytest
from scipy import stats

from attention.lab import by_example, comparisons, equivalence, paired_tests, seeds_and_texts
from attention.lab.comparisons import compare, every_two, family, interactions
from tests.support.pairs import members, noncentral

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
    nothing += ("excluded_below", "excluded_above", "equivalence")
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
    assert (found.difference, found.p, found.verdict) == (0, 1, "not distinguishable")
    # seeds without a spread do not say how far another may lie
    assert (found.low, found.high, found.excluded_below, found.excluded_above) == (None,) * 4
    within = family("a", {"a": members(values), "b": members(values)}, margin=0.5)["b"]
    assert (within.verdict, within.within_margin) == ("not distinguishable", False)
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
    assert found.difference == pytest.approx(0.1, abs=1e-15)
    if pairs >= 6:
        assert (found.low, found.high) == pytest.approx((0.1, 0.1), abs=1e-15)
    else:
        assert (found.low, found.high) == (None, None)
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
    assert found.detectable == pytest.approx(paired_tests.detectable_effect(5, level=0.05) * d.std(ddof=1), rel=1e-12)
    effect = d.mean() / d.std(ddof=1)
    assert noncentral(effect, found.seeds_needed, 0.05) >= 0.8 > noncentral(effect, found.seeds_needed - 1, 0.05)
    assert found.seeds_needed > 5
    assert found.verdict == "not distinguishable"


def test_numbers_that_cannot_be_compared():
    for bad in (math.nan, math.inf, "0.5"):
        with pytest.raises(ValueError, match=r"^variant has .* for seed 1; a value must be a finite number, or None"):
            compare({0: 0.5, 1: 0.5}, {0: 0.5, 1: bad})
    for bad in ("0", 0.0, True, None):
        with pytest.raises(ValueError, match="seeds must be integers, baseline has"):
            compare({bad: 0.5}, {0: 0.5})
    for bad in (np.array(1.0), np.ones((3, 1))):
        with pytest.raises(ValueError, match="must be two or more"):
            paired_tests.p_values(bad)
    with pytest.raises(ValueError, match="must be finite numbers"):
        paired_tests.intervals(np.array([1.0, np.nan]))


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
    for name, single in alone.items():
        variant = found[name]
        assert (variant.p, variant.effect) == (single.p, single.effect)
        assert variant.adjusted == min(1, 4 * single.p) >= single.adjusted == single.p
        assert variant.verdict == ("better" if 4 * single.p <= 0.05 else "not distinguishable")
        d = np.array([results[name][s] - results["none"][s] for s in range(5)])
        expected = stats.ttest_1samp(d, 0).confidence_interval(1 - 0.05 / 4)
        assert (variant.low, variant.high) == pytest.approx(tuple(expected), rel=1e-9)
        once = stats.ttest_1samp(d, 0).confidence_interval(1 - 2 * 0.05 / 4)
        assert (variant.excluded_below, variant.excluded_above) == pytest.approx(
            (min(0, once.low), max(0, once.high)), rel=1e-9
        )
        assert variant.detectable == pytest.approx(paired_tests.detectable_effect(5, level=0.0125) * d.std(ddof=1), rel=1e-12)
        assert variant.seeds_needed >= single.seeds_needed
        assert variant.comparisons == 4
    assert {found[name].verdict for name in alone} == {"better", "not distinguishable"}
    assert (found["one"].verdict, found["one"].left_out, found["one"].adjusted) == ("one seed", 5, None)
    for name in ("failed", "empty"):
        assert found[name] == comparisons.Comparison(pairs=0, left_out=5, comparisons=4, verdict="no pair")
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


def test_a_family_too_large_for_sign_flips_gets_t_tests():
    """Flips of ten pairs give a p of 2/1024 at best, and 40 times that is above 0.05."""
    results = {"none": members([0.0] * 10)} | {f"v{i}": members([0.0] * 10) for i in range(39)}
    results["up"] = members(np.linspace(0.9, 1.1, 10))
    found = family("none", results)["up"]
    assert (found.method, found.smallest_p, found.verdict) == ("paired t-test", 0, "better")
    assert found.p == pytest.approx(stats.ttest_1samp(np.linspace(0.9, 1.1, 10), 0).pvalue, rel=1e-6)


def test_variants_of_one_family_may_have_other_tests():
    random = np.random.default_rng(2)
    results = {name: members(random.normal(size=12)) for name in ("none", "all", "few")}
    results["few"] |= dict.fromkeys(range(5))
    found = family("none", results)
    assert [found[name].method for name in ("all", "few")] == ["all sign flips", "paired t-test"]


def test_families_that_cannot_be_compared():
    results = {"none": {0: 0.5}, "rope": {0: 0.6}, "dead": {0: None}}
    with pytest.raises(ValueError, match=r"^unknown baseline 'rop' \(nearest: 'rope'\); known: none, rope, dead$"):
        family("rop", results)
    with pytest.raises(ValueError, match="the baseline 'dead' has no finished member"):
        family("dead", results)
    with pytest.raises(ValueError, match="rope has nan for seed 0"):
        family("none", results | {"rope": {0: math.nan}})
    assert family("none", {"none": {0: 0.5}}) == {}


def test_every_two():
    random = np.random.default_rng(4)
    ease = random.normal(size=12)
    results = {name: members(ease + up + random.normal(0, 0.3, 12)) for name, up in (("a", 0.0), ("b", 0.1), ("c", 2.0))}
    results["c"][3] = None
    found = every_two(results)
    assert list(found) == [("a", "b"), ("a", "c"), ("b", "c")]
    for (a, b), row in found.items():
        alone = family(a, {a: results[a], b: results[b]})[b]
        assert (row.difference, row.p, row.pairs) == (alone.difference, alone.p, alone.pairs)
        assert (row.comparisons, row.adjusted) == (3, min(1, 3 * alone.p))
    assert [row.verdict for row in found.values()] == ["not distinguishable", "better", "better"]
    assert every_two(results, higher_is_better=False)["a", "c"].verdict == "worse"
    assert every_two({"a": {0: 1.0}}) == {}


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
        assert (row.difference, row.low, row.p, row.verdict) == (0, None, 1, "not distinguishable")


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


# Documentation


MODULES = [paired_tests, comparisons, equivalence, seeds_and_texts, by_example]


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_examples_are_true(module):
    found = doctest.testmod(module, optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    assert found.failed == 0 < found.attempted
    for name, function in inspect.getmembers(module, inspect.isfunction):
        if function.__module__ == module.__name__ and not name.startswith("_"):
            text = inspect.getdoc(function)
            assert all(f"{part}:" in text for part in ("Example", "Args", "Returns", "Raises", "Source")), name
            assert all(f"{argument}:" in text for argument in inspect.signature(function).parameters), name
