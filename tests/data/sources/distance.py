"""Evidence of how far two symbols are apart."""

from attention.data.sources import distance
from tests.support.evidence import Lengths, SourceCase, SourceEvidence
from tests.support.row import Row
from tests.support.sources import OTHER_SIZES, SIZES


def right(text):
    apart = abs(text.index("a") - text.index("b"))
    return {1: "1", 2: "2", 3: "3-4", 4: "3-4", **dict.fromkeys(range(5, 9), "5-8")}.get(apart, "9+")


SPEC = f"distance({SIZES})"
CASE = SourceCase(SPEC, right, "56f7e25db12a2269", Lengths("abcdef", distance.draw, 2))
ROW = Row(SPEC, OTHER_SIZES, SourceEvidence((CASE,)))
