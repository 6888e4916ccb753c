"""Evidence of the Sparse Transformer's patterns."""

import hypothesis.strategies as st

from tests.support.evidence import MaskCase, MaskEvidence
from tests.support.masks import T
from tests.support.row import Row


def strided(i, j, stride, causal=True):
    """Child et al., section 4.3: A1 = {t, ..., i} with t = max(0, i - l), A2 = {j: (i - j) mod l = 0}."""
    if causal:
        return j <= i and (j >= max(0, i - stride) or (i - j) % stride == 0)
    return strided(i, j, stride) or strided(j, i, stride)


def fixed(i, j, stride, summary, causal=True):
    """Child et al., section 4.3: A1 = {j: ⌊j/l⌋ = ⌊i/l⌋}, A2 = {j: j mod l in {t, ..., l-1}} with t = l - c."""
    sets = j // stride == i // stride or j % stride in range(stride - summary, stride)
    return sets and (j <= i or not causal)


CASES = (
    MaskCase("strided(stride=4)", lambda p: strided(p.i, p.j, 4), {48, 90}),
    MaskCase("strided(stride=9, causal=False)", lambda p: strided(p.i, p.j, 9, False), {90}),
    MaskCase("strided(stride=6, form=fixed, summary=2)", lambda p: fixed(p.i, p.j, 6, 2), {48, 90}),
    MaskCase("strided(stride=20, form=fixed, causal=False)", lambda p: fixed(p.i, p.j, 20, 1, False), {56}),
)
DRAWN = st.one_of(
    st.builds("strided(stride={}, causal={})".format, st.integers(1, 12), st.booleans()),
    st.builds("strided(stride={}, form=fixed, summary={})".format, st.integers(4, 12), st.integers(1, 4)),
    st.builds("strided(stride={}, form=fixed, summary={}, causal=False)".format, st.integers(4, 12), st.integers(1, 4)),
)
ROW = Row(
    "strided(stride=4)",
    {"stride": "5", "form": "fixed", "summary": "2, form=fixed", "causal": "False"},
    MaskEvidence(
        CASES,
        counts={
            "strided(stride=6)": sum(min(i, 6) + 1 + max(0, i // 6 - 1) for i in range(T)),
            "strided(stride=6, form=fixed, summary=2)": 4 * 21 + 36 * 2 * (0 + 1 + 2 + 3) // 6,
        },
        equal={
            "strided(stride=1)": "causal",
            "strided(stride=23)": "causal",
            "strided(stride=24, form=fixed)": "causal",
            "strided(stride=6, form=fixed, summary=6)": "causal",
            "strided(stride=23, causal=False)": "full",
            "causal & strided(stride=5, causal=False)": "strided(stride=5)",
            "causal & strided(stride=5, form=fixed, causal=False)": "strided(stride=5, form=fixed)",
        },
        drawn=DRAWN,
        errors={
            "strided(stride=0)": "stride must be >= 1, got 0",
            "strided(stride=4, form=fixed, summary=5)": "summary must be from 1 to the stride of 4, got 5",
            "strided(stride=4, form=fixed, summary=0)": "summary must be from 1 to the stride of 4, got 0",
            "strided(stride=4, summary=2)": "summary is of form='fixed'; form='strided' has none, got 2",
        },
    ),
)
