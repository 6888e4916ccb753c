"""Evidence of a string twice."""

from tests.support.evidence import SourceCase, SourceEvidence
from tests.support.row import Row
from tests.support.sources import OTHER_TAPES, TAPES, taped


def output(text):
    return 2 * text.split()


SPEC = f"duplicate_string({TAPES})"
ROW = Row(
    SPEC,
    OTHER_TAPES,
    SourceEvidence(
        (SourceCase(SPEC, lambda text: taped(text, output), "dac2b4e0949f6fe9"),),
        errors={"duplicate_string(min_length=0)": "min_length must be at least 1, got 0"},
    ),
)


def test_the_examples_of_the_authors():
    assert " ".join(output("1 0 1")) == "1 0 1 1 0 1"
    assert " ".join(output("1 1 1 1 1 1")) == "1 1 1 1 1 1 1 1 1 1 1 1"
