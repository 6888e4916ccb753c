"""Evidence of the number of ones."""

from attention.data.sources import parity
from tests.support.evidence import Lengths, SourceCase, SourceEvidence
from tests.support.row import Row
from tests.support.sources import OTHER_SIZES, SIZES


def right(text):
    odd = False
    for bit in text:
        odd ^= bit == "1"
    return "odd" if odd else "even"


SPEC = f"parity({SIZES})"
CASE = SourceCase(SPEC, right, "6fbb8e064f224c3c", Lengths("01", parity.draw, bag=1.0))
ROW = Row(
    SPEC,
    OTHER_SIZES,
    SourceEvidence(
        (CASE,),
        errors={
            f"parity({options})": message
            for options, message in {
                "train=0": "train must be at least 1, got 0",
                "lengths=-1": "lengths must be at least 0, got -1",
                "min_length=9, max_length=8": "max_length must be at least 9, got 8",
                "test_length=39": "test_length must be at least the length of train, 40, got 39",
            }.items()
        },
    ),
)
