"""Evidence of which of two symbols comes first."""

from attention.data.sources import order
from tests.support.evidence import Lengths, SourceCase, SourceEvidence
from tests.support.row import Row
from tests.support.sources import OTHER_SIZES, SIZES


def right(text):
    for symbol in text:
        if symbol in "ab":
            return "yes" if symbol == "a" else "no"
    raise AssertionError(text)


SPEC = f"order({SIZES})"
CASE = SourceCase(SPEC, right, "1b8891d34f21bb42", Lengths("abcdef", order.draw, 2))
ROW = Row(SPEC, OTHER_SIZES, SourceEvidence((CASE,), errors={"order(min_length=1)": "min_length must be at least 2, got 1"}))
