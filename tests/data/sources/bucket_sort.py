"""Evidence of symbols by their counts."""

from tests.support.evidence import SourceCase, SourceEvidence
from tests.support.row import Row
from tests.support.sources import OTHER_TAPES, TAPES, taped


def output(text):
    return [symbol for symbol in "01234" for _ in range(text.count(symbol))]


SPEC = f"bucket_sort({TAPES})"
ROW = Row(
    SPEC,
    OTHER_TAPES,
    SourceEvidence(
        (SourceCase(SPEC, lambda text: taped(text, output), "d27a59b0652d8e0d"),),
        errors={"bucket_sort(min_length=0)": "min_length must be at least 1, got 0"},
    ),
)


def test_the_examples_of_the_authors():
    assert " ".join(output("1 0 2 0 4 1 1 2")) == "0 0 1 1 1 2 2 4"
