"""Evidence of numbers that are turned, as a language model writes them."""

from tests.support.evidence import SourceCase, SourceEvidence
from tests.support.row import Row
from tests.support.sources import NUMBERS, OTHER_NUMBERS, answered


def right(text):
    return answered(text, lambda question: question[::-1])


SPEC = f"lm_reverse({NUMBERS})"
ROW = Row(
    SPEC,
    OTHER_NUMBERS,
    SourceEvidence(
        (SourceCase(SPEC, right, "c0aab86ba837a02f"),),
        errors={"lm_reverse(symbols=1)": "symbols must be 2 to 1000000, got 1"},
    ),
)


def test_the_form():
    """Of the authors' code: BOS, the question, SEP, the answer; the loss is on the answer and on EOS."""
    assert right("bos 1 2 0 2 sep 2 0 2 1") == "_ _ _ _ _ 2 0 2 1 eos"
