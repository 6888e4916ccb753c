"""Evidence of a sum by hand."""

from tests.support.evidence import SourceCase, SourceEvidence
from tests.support.row import Row
from tests.support.sources import OTHER_TAPES, TAPES, taped


def output(text):
    first, _, second = text.replace(" ", "").partition("+")
    bits, carry = [], 0
    for place in range(max(len(first), len(second))):
        here = carry + sum(int(bit) for number in (first, second) for bit in number[place : place + 1])
        bits.append(str(here % 2))
        carry = here // 2
    bits.append(str(carry))
    while len(bits) > 1 and bits[-1] == "0":
        bits.pop()
    return [*bits, "end"]


SPEC = f"binary_addition({TAPES})"
ROW = Row(
    SPEC,
    OTHER_TAPES,
    SourceEvidence(
        (SourceCase(SPEC, lambda text: taped(text, output), "abed128cb449aeae"),),
        errors={"binary_addition(min_length=0)": "min_length must be at least 1, got 0"},
    ),
)


def test_the_examples_of_the_authors():
    assert " ".join(output("0 0 1 + 0 1 1 0 1")) == "0 1 0 1 1 end"
    assert " ".join(output("1 0 0 1 + 0 0 0 0 0 1")) == "1 0 0 1 0 1 end"
