"""Evidence of pairs of unequal neighbours."""

import numpy as np

from attention.data.sources import even_pairs
from tests.support.evidence import Lengths, SourceCase, SourceEvidence
from tests.support.row import Row
from tests.support.sources import OTHER_SIZES, SIZES


def right(text):
    pairs = [text[i : i + 2] for i in range(len(text) - 1)]
    return "odd" if (pairs.count("01") + pairs.count("10")) % 2 else "even"


SPEC = f"even_pairs({SIZES})"
CASE = SourceCase(SPEC, right, "de41839ca4bed486", Lengths("01", even_pairs.draw, 2))
ROW = Row(SPEC, OTHER_SIZES, SourceEvidence((CASE,)))


def test_the_bag_of_symbols_is_the_best_guess_by_counting():
    """Of all strings of six bits: no guess from the counts is right more often for even_pairs."""
    strings = [f"{number:06b}" for number in range(64)]
    labels = np.array([right(text) == "odd" for text in strings], int)
    counts = np.array([[text.count("0"), text.count("1")] for text in strings])
    hits = (even_pairs.bag(counts) == labels).sum()
    groups = {ones: labels[counts[:, 1] == ones] for ones in range(7)}
    assert hits == sum(max(group.sum(), len(group) - group.sum()) for group in groups.values())
