"""How texts of given lengths are drawn."""

from collections import Counter

import numpy as np
import pytest

from attention import specs
from attention.data.sources import _lengths


def test_draws_are_uniform_below_each_bound():
    rng = _lengths.Draws(0, 9)
    found = rng.below(np.array([1, 2, 7]), 7000, 3)
    assert found.max(axis=0).tolist() == [0, 1, 6]
    counts = np.bincount(found[:, 2])
    assert (np.abs(counts - 1000) < 5 * 1000**0.5).all()
    assert rng.below(5, 0).shape == (0,)


def test_places_are_uniform_over_pairs():
    a, b = _lengths.two_places(_lengths.Draws(0, 8), np.full(6000, 4))
    counts = Counter(zip(a.tolist(), b.tolist()))
    assert set(counts) == {(i, j) for i in range(4) for j in range(4) if i != j}
    assert all(abs(count - 500) < 5 * 500**0.5 for count in counts.values())


@pytest.mark.parametrize("name", specs.names("source"))
@pytest.mark.parametrize("size", ["max_length", "train", "test_length"])
def test_more_than_memory_holds_is_refused_at_once(name, size):
    """Every generated source has a limit, named before anything is drawn."""
    if size in {option.name for option in specs.options("source", name) if option.type in (int, int | None)}:
        with pytest.raises(ValueError, match="at most 536870912 symbols are drawn"):
            specs.build("source", f"{name}({size}=2147483648)")
