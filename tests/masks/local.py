"""Evidence of the window."""

import hypothesis.strategies as st
import numpy as np

from tests.support.evidence import MaskCase, MaskEvidence
from tests.support.masks import WINDOW, T, band, square
from tests.support.row import Row


def local(i, j, window):
    return i - window / 2 <= j <= i + window / 2


ROW = Row(
    "local(window=4)",
    {"window": "6"},
    MaskEvidence(
        (
            MaskCase("local(window=4)", lambda p: local(p.i, p.j, 4), {32}),
            MaskCase("local(window=0)", lambda p: p.i == p.j, {16}, causal=False),
        ),
        counts={"local(window=6)": band(T, 3)},
        equal={"local(window=46)": "full"},
        drawn=st.integers(0, 12).map(lambda n: f"local(window={2 * n})"),
        errors={"local(window=-2)": WINDOW.format(-2), "local(window=3)": WINDOW.format(3)},
    ),
)


def test_under_a_causal_mask_it_is_a_band():
    np.testing.assert_array_equal(square("causal & local(window=6)"), np.tril(np.ones((T, T))) - np.tril(np.ones((T, T)), -4))
