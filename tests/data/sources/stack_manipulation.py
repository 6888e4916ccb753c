"""Evidence of a stack as a string."""

from tests.support.evidence import SourceCase, SourceEvidence
from tests.support.row import Row
from tests.support.sources import OTHER_TAPES, TAPES, taped


def output(text):
    stack = ""
    for word in text.split():
        stack = {"pop": stack[1:], "push0": f"0{stack}", "push1": f"1{stack}"}.get(word, f"{word}{stack}")
    return [*stack, "end"]


SPEC = f"stack_manipulation({TAPES})"
ROW = Row(
    SPEC,
    OTHER_TAPES,
    SourceEvidence(
        (SourceCase(SPEC, lambda text: taped(text, output), "e7b222b902fd3fc9"),),
        errors={"stack_manipulation(min_length=0)": "min_length must be at least 1, got 0"},
    ),
)


def test_the_examples_of_the_authors():
    assert " ".join(output("0 1 1 0 push1 pop pop")) == "1 1 0 end"
    assert " ".join(output("1 1 0 pop pop pop")) == "end"
