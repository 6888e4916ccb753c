"""Evidence of attention in windows, with global positions that have projections of their own."""

import numpy as np
import pytest

from tests.support.evidence import MixerCase, MixerEvidence
from tests.support.mixers import (
    BOTH,
    HEADS,
    LONG,
    MHA,
    PARTS,
    VALID,
    D,
    assert_same,
    attend,
    made,
    outputs,
    states,
    torch_out,
    torch_qkv,
    witness,
)
from tests.support.row import Row

SPEC = "longformer(heads=2, window=2, globals=1)"


def reference(own, x, memory, causal=False, window=2, globals=1):
    i, j = np.arange(len(x))[:, None], np.arange(len(x))
    allowed = (abs(i - j) <= window // 2) | (i < globals) | (j < globals)
    rows = attend(own, x, x, causal, allowed)
    if "global_query" in own:
        names = ("global_query", "global_key", "global_value")
        rows[:globals] = attend(own, x, x, causal, names=names)[:globals]
    return rows


def oracles():
    from tests.support.oracle_packages import F, torch

    def theirs(x, p):
        """Masked SDPA for the rows in windows, and one of the second projections for the first row."""
        i = torch.arange(len(x))
        allowed = ((i[:, None] - i).abs() <= 1) | (i == 0) | (i[:, None] == 0)
        rows = F.scaled_dot_product_attention(*torch_qkv(x, p), attn_mask=allowed)
        q, k, v = torch_qkv(x, p, ("global_query", "global_key", "global_value"))
        first = F.scaled_dot_product_attention(q[:, :, :1], k, v)
        return torch_out(torch.cat([first, rows[:, :, 1:]], dim=2), p)

    return {"torch SDPA, twice": witness(SPEC, theirs, valid=LONG)}


CASE = MixerCase(SPEC, reference, MHA + 3 * (D * D + D), masks=BOTH, cross=False, ordered=True, chunked="rope")
ROW = Row(
    SPEC,
    {**HEADS, "window": "4", "globals": "2", "separate": "False"},
    MixerEvidence(
        (CASE,),
        oracles,
        PARTS,
        (({"normalizer": "sinkhorn"}, "normalizer=sinkhorn: this normalizer couples queries"),),
        {"longformer(window=3)": "window"},
    ),
)


@pytest.mark.parametrize("options", ["window=40", "window=0, globals=24"])
@pytest.mark.parametrize("mask", BOTH)
def test_over_everything_it_is_attention(options, mask):
    own, x = made("attention(heads=2)")[2], states()
    specs = (f"longformer(heads=2, {options}, separate=False)", "attention(heads=2)")
    assert_same(*(outputs(spec, own, x, VALID, mask, "alibi") for spec in specs))


def test_global_rows_with_equal_projections_are_rows_of_attention():
    own, x = made("attention(heads=2)")[2], states()
    copies = {f"global_{name}": own[name] for name in ("query", "key", "value")}
    specs = ("longformer(heads=2, window=2, globals=2)", "longformer(heads=2, window=2, globals=2, separate=False)")
    assert_same(*(outputs(spec, {**own, **copies}, x, VALID, encoding="t5") for spec in specs))


def test_without_global_positions_there_are_no_projections_for_them():
    assert set(made("longformer(heads=2, globals=0)")[2]) == {"query", "key", "value", "output"}
