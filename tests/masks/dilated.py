"""Evidence of the dilated window."""

import hypothesis.strategies as st
import numpy as np

from tests.support.evidence import MaskCase, MaskEvidence
from tests.support.masks import WINDOW, T, square
from tests.support.row import Row


def dilated(i, j, window, dilation):
    return j in [i + m * dilation for m in range(-(window // 2), window // 2 + 1)]


ROW = Row(
    "dilated(window=4, dilation=3)",
    {"window": "6", "dilation": "2"},
    MaskEvidence(
        (
            MaskCase("dilated(window=4, dilation=3)", lambda p: dilated(p.i, p.j, 4, 3), {32}),
            MaskCase("dilated(window=2, dilation=20)", lambda p: dilated(p.i, p.j, 2, 20), {40, 64}),
        ),
        counts={"dilated(window=6, dilation=4)": sum(1 if m == 0 else 2 * (T - 4 * m) for m in range(4)) + T - 1},
        equal={"dilated(window=46, dilation=1)": "full", "dilated(window=6, dilation=1)": "local(window=6)"},
        drawn=st.builds(lambda n, m: f"dilated(window={2 * n}, dilation={m})", st.integers(0, 12), st.integers(1, 12)),
        errors={"dilated(window=3)": WINDOW.format(3), "dilated(dilation=0)": "dilation must be >= 1, got 0"},
    ),
)


def test_a_full_one_is_all_of_one_residue():
    np.testing.assert_array_equal(square("dilated(window=46, dilation=3)"), (np.arange(T)[:, None] - np.arange(T)) % 3 == 0)
