"""Evidence of equations with an unknown."""

from attention.data.sources import solve_equation
from tests.support.evidence import Lengths, SourceCase, SourceEvidence
from tests.support.row import Row
from tests.support.sources import OTHER_SIZES, SIZES


def value(text):
    return str(eval(text, {"__builtins__": {}}) % 5)


def right(text):
    left, right = text.split("=")
    [answer] = [digit for digit in "01234" if value(left.replace("x", digit)) == right]
    return answer


SPEC = f"solve_equation({SIZES})"
CASE = SourceCase(SPEC, right, "e787427364f77c2a", Lengths("01234+-()x=", solve_equation.draw, 3, bag=None))
ROW = Row(
    SPEC, OTHER_SIZES, SourceEvidence((CASE,), errors={"solve_equation(min_length=2)": "min_length must be at least 3, got 2"})
)
