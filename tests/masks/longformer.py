"""Evidence of the window with global positions."""

import hypothesis.strategies as st

from tests.support.evidence import MaskCase, MaskEvidence
from tests.support.masks import WINDOW, T, band
from tests.support.row import Row


def longformer(i, j, window, globals_):
    return i - window / 2 <= j <= i + window / 2 or i < globals_ or j < globals_


ROW = Row(
    "longformer(window=4, globals=2)",
    {"window": "6", "globals": "1"},
    MaskEvidence(
        (MaskCase("longformer(window=4, globals=2)", lambda p: longformer(p.i, p.j, 4, 2), {40, 90}),),
        counts={"longformer(window=6, globals=2)": band(T, 3) + 2 * (2 * T) - 4 - (4 + 5) - (3 + 3 - 1)},
        equal={
            "longformer(window=46)": "full",
            "longformer(window=0, globals=24)": "full",
            "longformer(window=6, globals=0)": "local(window=6)",
        },
        drawn=st.builds(lambda n, g: f"longformer(window={2 * n}, globals={g})", st.integers(0, 12), st.integers(0, 12)),
        errors={
            "longformer(window=5)": WINDOW.format(5),
            "longformer(globals=-1)": "globals must be >= 0, got -1",
        },
    ),
)
