"""Evidence of a text written twice with a gap."""

from attention.data.sources import missing_duplicate
from tests.support.evidence import Lengths, SourceCase, SourceEvidence
from tests.support.row import Row
from tests.support.sources import OTHER_SIZES, SIZES


def right(text):
    text = text.removesuffix("_")
    half = len(text) // 2
    [hidden] = [i for i, symbol in enumerate(text) if symbol == "?"]
    found = text[hidden - half if hidden >= half else hidden + half]
    whole = text.replace("?", found)
    assert whole[:half] == whole[half:]
    return found


SPEC = f"missing_duplicate({SIZES})"
CASE = SourceCase(SPEC, right, "ec3b727d3713bc85", Lengths("01?_", missing_duplicate.draw, 2, bag=1.0))
ROW = Row(SPEC, OTHER_SIZES, SourceEvidence((CASE,)))
