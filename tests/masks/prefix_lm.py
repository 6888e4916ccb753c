"""Evidence of the causal mask whose first positions all see."""

import hypothesis.strategies as st

import attention
from tests.support.evidence import MaskCase, MaskEvidence
from tests.support.masks import T
from tests.support.row import Row


def prefix_lm(i, j, prefix):
    return j <= max(i, prefix - 1)


ROW = Row(
    "prefix_lm(prefix=3)",
    {"prefix": "5"},
    MaskEvidence(
        (MaskCase("prefix_lm(prefix=3)", lambda p: prefix_lm(p.i, p.j, 3), {48, 90}),),
        counts={"prefix_lm(prefix=5)": T * (T + 1) // 2 + 5 * 4 // 2},
        equal={
            "prefix_lm(prefix=24)": "full",
            "prefix_lm(prefix=0)": "causal",
            "prefix_lm(prefix=1)": "causal",
            "causal & prefix_lm(prefix=9)": "causal",
        },
        drawn=st.integers(0, 12).map("prefix_lm(prefix={})".format),
        errors={"prefix_lm(prefix=-1)": "prefix must be >= 0, got -1"},
    ),
)


def test_a_prefix_of_one_is_causal():
    assert attention.build("mask", "prefix_lm(prefix=1)").causal
    assert not attention.build("mask", "prefix_lm(prefix=2)").causal
