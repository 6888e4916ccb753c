"""Evidence of one bit of memory."""

import numpy as np
import pytest

from tests.support.evidence import SourceCase, SourceEvidence
from tests.support.row import Row
from tests.support.sources import OTHER_ASKED, baselines, build


def right(text):
    memory, wanted = None, []
    for act, bit in zip(*[iter(text.split())] * 2):
        memory = bit if act == "w" else memory
        assert act != "r" or bit == memory
        wanted += [memory if act == "r" else "_", "_"]
    return " ".join(wanted)


SPEC = "flip_flop(train=300, validation=40, test=50, lengths=60, length=24, test_length=48)"
ROW = Row(
    SPEC,
    {**OTHER_ASKED, "length": "26", "test_length": "50", "ignore": "0.5"},
    SourceEvidence(
        (SourceCase(SPEC, right, "047ed17e3d47a9b9"),),
        probes=("sparse", "dense"),
        errors={
            "flip_flop(length=7)": "length must be an even number of 4 or more, got 7",
            "flip_flop(ignore=1.0)": r"ignore must be in \[0, 1\), got 1.0",
            "flip_flop(test_length=40)": "test_length must be at least the length of train, 512, got 40",
        },
    ),
)


def test_the_string_of_the_paper():
    """Section 3.1 of Liu et al.: what follows the last r is 0, as the last w says."""
    assert right("w 0 i 1 r 0") == "_ _ _ _ 0 _"


@pytest.mark.parametrize(("split", "ignore"), [("train", 0.8), ("sparse", 0.98), ("dense", 0.1)])
def test_instructions_are_as_likely_as_they_say(split, ignore):
    """But for the first and the last; bits are fair, and the bit before is right where it was written or read, else by half."""
    corpus = build("flip_flop", train=2000, test=2000, lengths=0, length=64).load(0)
    words = np.array([text.split() for text in corpus.splits[split].texts])
    acts, bits = words[:, 2:-2:2], words[:, 1::2]
    for act, share in (("i", ignore), ("w", (1 - ignore) / 2), ("r", (1 - ignore) / 2)):
        assert (acts == act).mean() == pytest.approx(share, abs=5 * (share * (1 - share) / acts.size) ** 0.5)
    assert (bits == "1").mean() == pytest.approx(0.5, abs=0.03)
    assert set(words[:, 0]) == {"w"}
    assert set(words[:, -2]) == {"r"}
    assert baselines(corpus, split)["the_bit_before"] == pytest.approx(1 - ignore / 2, abs=0.03)
