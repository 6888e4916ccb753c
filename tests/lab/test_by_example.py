"""Two runs example by example: McNemar's test and shared errors, against published examples and sums."""

import math

import numpy as np
import pytest

from attention.lab.by_example import mcnemar, shared_errors


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
    with pytest.raises(ValueError, match="correct must be bool, got int64 and bool"):
        function(np.ones(3, int), np.ones(3, bool))
