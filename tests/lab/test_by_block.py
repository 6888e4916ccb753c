"""The bootstrap over pieces of text: by hand, beside a reference in NumPy, and on texts whose truth is known."""

import numpy as np
import pytest
from scipy import stats

from attention.lab import by_block

TRUTH = 0.05  # nats per token that B loses more than A, over all texts there may be


def texts(random, blocks):
    """Nats of two runs on blocks of 25 to 75 tokens: each favours one of them, and all its tokens with it."""
    counts = random.integers(25, 76, blocks)
    favour = random.gamma(1.0, 0.1, blocks) - 0.1 + TRUTH
    a = random.gamma(50.0, 0.04, blocks) * counts
    return a, a + favour * counts + random.normal(0, 0.3, blocks) * np.sqrt(counts), counts


def test_by_hand():
    found = by_block.bootstrap(np.array([12.0, 30.0, 9.0]), np.array([10.0, 29.0, 9.0]), np.array([10, 20, 10]))
    assert found[:3] == pytest.approx((51 / 40, 48 / 40, -3 / 40), rel=1e-12)
    assert (found.low, found.high) == pytest.approx((-0.2, 0.0))  # of three pieces: the first alone, or the last alone
    assert found.verdict(higher_is_better=False) == "not distinguishable"


def test_beside_a_reference():
    """Drawn by hand from other random numbers: ends agree as far as 10,000 draws tell a quantile."""
    a, b, counts = texts(np.random.default_rng(0), 150)
    found = by_block.bootstrap(a, b, counts)
    drawn = np.random.default_rng(1).integers(0, 150, (20_000, 150))
    means = np.array([(b[row].sum() - a[row].sum()) / counts[row].sum() for row in drawn])
    spread = means.std()
    assert found.difference == pytest.approx((b.sum() - a.sum()) / counts.sum(), rel=1e-12)
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(means, (0.025, 0.975))), abs=0.1 * spread)
    linear = (b - a - found.difference * counts) / counts.sum()  # the error of a ratio, by its first derivatives
    assert spread == pytest.approx(np.sqrt((linear**2).sum()), rel=0.05)


@pytest.mark.parametrize("blocks", [50, 200])
def test_coverage(blocks, monkeypatch):
    """About 95 % of the intervals hold the truth; those from the spread of single tokens would be far too narrow."""
    monkeypatch.setattr(by_block, "DRAWS", 1000)
    random, number = np.random.default_rng(blocks), 400
    held = narrow = 0
    for _ in range(number):
        a, b, counts = texts(random, blocks)
        found = by_block.bootstrap(a, b, counts)
        held += found.low <= TRUTH <= found.high
        narrow += abs(found.difference - TRUTH) <= 1.96 * np.sqrt((0.3**2 + 0.1**2) / counts.sum())
    print(f"{blocks} blocks: {held / number:.3f}, as single tokens {narrow / number:.3f}")
    assert stats.binomtest(held, number, 0.94).pvalue > 1e-4
    assert narrow / number < 0.6


def test_the_same_numbers_again_and_pieces_in_another_order():
    a, b, counts = texts(np.random.default_rng(2), 60)
    assert by_block.bootstrap(a, b, counts) == by_block.bootstrap(a, b, counts)
    nothing = np.insert(counts, 5, 0)  # a piece of which nothing is asked
    assert by_block.bootstrap(np.insert(a, 5, 0.0), np.insert(b, 5, 0.0), nothing) == by_block.bootstrap(a, b, counts)


def test_which_way_is_better():
    sums, counts = np.arange(1.0, 41.0), np.full(40, 10)
    less = by_block.bootstrap(sums, sums - 0.5, counts)
    assert less.verdict(higher_is_better=False) == "better"
    assert less.verdict(higher_is_better=True) == "worse"
    same = by_block.bootstrap(sums, sums, counts)
    assert (same.difference, same.low, same.high, same.verdict(higher_is_better=True)) == (0, 0, 0, "not distinguishable")
    one = by_block.bootstrap(sums[:1], sums[:1] - 1, counts[:1])
    assert (one.difference, one.low, one.high) == (pytest.approx(-0.1), None, None)
    assert one.verdict(higher_is_better=True) == "not distinguishable"


@pytest.mark.parametrize(
    ("a", "b", "counts", "what"),
    [
        ([1.0], [1.0, 2.0], [1, 1], "must have one shape"),
        ([[1.0]], [[1.0]], [[1]], "must have one shape"),
        ([1.0, np.nan], [1.0, 2.0], [1, 1], "not a finite number"),
        ([1.0, 2.0], [1.0, 2.0], [0, 0], "not all 0"),
        ([1.0, 2.0], [1.0, 2.0], [-1, 3], "0 or more"),
    ],
)
def test_what_is_refused(a, b, counts, what):
    with pytest.raises(ValueError, match=what):
        by_block.bootstrap(np.array(a), np.array(b), np.array(counts))
