"""Evidence of a string from its end."""

from tests.support.evidence import SourceCase, SourceEvidence
from tests.support.row import Row
from tests.support.sources import OTHER_TAPES, TAPES, taped


def output(text):
    return [*reversed(text.split())]


SPEC = f"reverse_string({TAPES})"
ROW = Row(
    SPEC,
    OTHER_TAPES,
    SourceEvidence(
        (SourceCase(SPEC, lambda text: taped(text, output), "b19692a67bb2632a"),),
        errors={"reverse_string(min_length=0)": "min_length must be at least 1, got 0"},
    ),
)


def test_the_examples_of_the_authors():
    assert " ".join(output("0 1 1 0 1 0")) == "0 1 0 1 1 0"
