"""Evidence of a root by trying its bits."""

from tests.support.evidence import SourceCase, SourceEvidence
from tests.support.row import Row
from tests.support.sources import OTHER_TAPES, TAPES, taped


def output(text):
    number, root = int(text.replace(" ", ""), 2), 0
    room = (len(text.split()) + 1) // 2
    for place in reversed(range(room)):
        if (root + 2**place) ** 2 <= number:
            root += 2**place
    return [*f"{root:0{room}b}"]


SPEC = f"compute_sqrt({TAPES})"
ROW = Row(
    SPEC,
    OTHER_TAPES,
    SourceEvidence(
        (SourceCase(SPEC, lambda text: taped(text, output), "67b0eb51159c0ba6"),),
        errors={"compute_sqrt(min_length=0)": "min_length must be at least 1, got 0"},
    ),
)


def test_the_examples_of_the_authors():
    """37 and 6, which they write as 1 0 1."""
    assert " ".join(output("1 0 0 1 0 1")) == "1 1 0"
    assert " ".join(output("1 1 1")) == "1 0"
