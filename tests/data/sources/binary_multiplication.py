"""Evidence of a product by hand."""

from tests.support.evidence import SourceCase, SourceEvidence
from tests.support.row import Row
from tests.support.sources import OTHER_TAPES, TAPES, taped


def output(text):
    first, sign, second = text.replace(" ", "").partition("*")
    if not sign:
        return ["0"] * (len(first) - 1) + ["end"]
    digits = [0] * (len(first) + len(second) + 1)
    for place, bit in enumerate(first):
        for other, each in enumerate(second):
            digits[place + other] += int(bit) * int(each)
    for place in range(len(digits) - 1):
        digits[place + 1] += digits[place] // 2
        digits[place] %= 2
    return [*"".join(map(str, digits)).rstrip("0"), "end"]


SPEC = f"binary_multiplication({TAPES})"
ROW = Row(
    SPEC,
    OTHER_TAPES,
    SourceEvidence(
        (SourceCase(SPEC, lambda text: taped(text, output), "91b663c93699693c"),),
        errors={"binary_multiplication(min_length=0)": "min_length must be at least 1, got 0"},
    ),
)


def test_the_examples_of_the_authors():
    assert " ".join(output("0 0 1 * 0 1 1 0 1")) == "0 0 0 1 1 0 1 end"
    assert " ".join(output("1 0 0 1 * 0 0 0 0 0 1")) == "0 0 0 0 0 1 0 0 1 end"
