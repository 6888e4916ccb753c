"""Evidence of the first symbol."""

from attention.data.sources import first_token
from tests.support.evidence import Lengths, SourceCase, SourceEvidence
from tests.support.row import Row
from tests.support.sources import OTHER_SIZES, SIZES


def right(text):
    return text[0]


SPEC = f"first_token({SIZES})"
CASE = SourceCase(SPEC, right, "cc552f9e1c38857f", Lengths("abcdefgh", first_token.draw, first=1.0))
ROW = Row(SPEC, OTHER_SIZES, SourceEvidence((CASE,)))
