"""Evidence of the window with global positions."""

import hypothesis.strategies as st

from tests.support.evidence import MaskCase, MaskEvidence
from tests.support.masks import WINDOW, T, band
from tests.support.row import Row


def longformer(i, j, window, globals_, last=0, end=0):
    of_all = lambda p: p < globals_ or end - last < p <= end
    return i - window / 2 <= j <= i + window / 2 or of_all(i) or of_all(j)


ROW = Row(
    "longformer(window=4, globals=2)",
    {"window": "6", "globals": "1", "last": "2"},
    MaskEvidence(
        (
            MaskCase("longformer(window=4, globals=2)", lambda p: longformer(p.i, p.j, 4, 2), {40, 90}),
            MaskCase("longformer(window=2, globals=1, last=3)", lambda p: longformer(p.i, p.j, 2, 1, 3, p.last), {56, 90}),
        ),
        counts={"longformer(window=6, globals=2)": band(T, 3) + 2 * (2 * T) - 4 - (4 + 5) - (3 + 3 - 1)},
        equal={
            "longformer(window=46)": "full",
            "longformer(window=0, globals=24)": "full",
            "longformer(window=6, globals=0)": "local(window=6)",
            "longformer(window=0, globals=0, last=24)": "full",
        },
        drawn=st.builds(lambda n, g: f"longformer(window={2 * n}, globals={g})", st.integers(0, 12), st.integers(0, 12)),
        errors={
            "longformer(window=5)": WINDOW.format(5),
            "longformer(globals=-1)": "globals must be >= 0, got -1",
            "longformer(last=-1)": "last must be >= 0, got -1",
        },
    ),
)
