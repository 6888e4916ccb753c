"""Evidence of steps around a circle."""

from attention.data.sources import cycle_navigation
from tests.support.evidence import Lengths, SourceCase, SourceEvidence
from tests.support.row import Row
from tests.support.sources import OTHER_SIZES, SIZES


def right(text):
    place = 0
    for step in text:
        place = (place + {"-": -1, "0": 0, "+": 1}[step]) % 5
    return str(place)


SPEC = f"cycle_navigation({SIZES})"
CASE = SourceCase(SPEC, right, "2d9751e6dba70022", Lengths("-0+", cycle_navigation.draw, bag=1.0))
ROW = Row(SPEC, OTHER_SIZES, SourceEvidence((CASE,)))
