"""Evidence of attention under BigBird's mask."""

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

SPEC = "bigbird(heads=2, block=2, random_blocks=0)"


def reference(own, x, memory, causal=False, block=2):
    i, j, end = np.arange(len(x))[:, None] // block, np.arange(len(memory)) // block, (len(memory) - 1) // block
    allowed = (abs(i - j) <= 1) | (i == 0) | (j == 0) | (i == end) | (j == end)
    return attend(own, x, memory, causal, allowed)


def oracles():
    from tests.support.oracle_packages import F, torch

    def theirs(x, p):
        i = torch.arange(len(x)) // 2
        ends = (i == 0) | (i == i[-1])
        allowed = ((i[:, None] - i).abs() <= 1) | ends | ends[:, None]
        return torch_out(F.scaled_dot_product_attention(*torch_qkv(x, p), attn_mask=allowed), p)

    return {"torch SDPA, blocks": witness(SPEC, theirs, valid=LONG)}


# Not ordered: three blocks, each within one of the next, the first and the last, are every pair.
ROW = Row(
    SPEC,
    {**HEADS, "block": "1", "random_blocks": "1, block=1", "seed": "1, block=1, random_blocks=1"},
    MixerEvidence(
        (MixerCase(SPEC, reference, MHA, masks=BOTH),), oracles, PARTS, errors={"bigbird(block=0)": "block must be >= 1, got 0"}
    ),
)


@pytest.mark.parametrize("options", ["block=30", "block=1, random_blocks=24"])
@pytest.mark.parametrize("mask", BOTH)
def test_over_everything_it_is_attention(options, mask):
    own, x = made("attention(heads=2)")[2], states()
    specs = (f"bigbird(heads=2, {options})", "attention(heads=2)")
    assert_same(*(outputs(spec, own, x, VALID, mask, "alibi") for spec in specs))
