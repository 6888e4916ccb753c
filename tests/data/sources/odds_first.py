"""Evidence of every other symbol."""

from tests.support.evidence import SourceCase, SourceEvidence
from tests.support.row import Row
from tests.support.sources import OTHER_TAPES, TAPES, taped


def output(text):
    symbols = text.split()
    odds = [symbol for place, symbol in enumerate(symbols) if place % 2]
    return odds + [symbol for place, symbol in enumerate(symbols) if not place % 2]


SPEC = f"odds_first({TAPES})"
ROW = Row(
    SPEC,
    OTHER_TAPES,
    SourceEvidence(
        (SourceCase(SPEC, lambda text: taped(text, output), "4ce08143c1a6cb10"),),
        errors={"odds_first(min_length=0)": "min_length must be at least 1, got 0"},
    ),
)


def test_the_examples_of_the_authors():
    """As their code writes them; their text has the halves the other way round."""
    assert " ".join(output("0 0 1 1 0 1 0 1")) == "0 1 1 1 0 1 0 0"
    assert " ".join(output("1 1 0")) == "1 1 0"
