"""Evidence of sums and products modulo 5."""

import re
from collections import Counter

import numpy as np

from attention.data.sources import _lengths, modular_arithmetic
from tests.support.evidence import Lengths, SourceCase, SourceEvidence
from tests.support.row import Row
from tests.support.sources import OTHER_SIZES, SIZES


def value(text):
    return str(eval(text, {"__builtins__": {}}) % 5)


FLAT = Lengths("01234+-*", modular_arithmetic.FLAT.draw, step=2, bag=None)
NESTED = Lengths("01234+-()", modular_arithmetic.NESTED.draw, bag=None)
SPEC = f"modular_arithmetic({SIZES})"
CASES = (
    SourceCase(SPEC, value, "4f762ddd4430d2b2", FLAT),
    SourceCase(f"modular_arithmetic(brackets=True, {SIZES})", value, "22e1c45a51371ca4", NESTED),
)
ERRORS = {
    r"modular_arithmetic(min_length=4, max_length=4)": (
        r"modular_arithmetic has no text of 4 to 4 symbols: its lengths are 1, 3, 5, \.\.\."
    )
}
ROW = Row(SPEC, {"brackets": "True", **OTHER_SIZES}, SourceEvidence(CASES, errors=ERRORS))


def test_brackets_follow_the_published_grammar():
    """Every way to split a text of seven symbols as often, and each of the short forms."""
    draw = modular_arithmetic.draw_nested
    tokens, _ = draw(_lengths.Draws(0, 7), np.full(3000, 7))
    shapes = Counter(re.sub(r"[0-4]", "d", re.sub(r"(?<=[d0-4)])[+-]", "o", row.replace(" ", ""))) for row in texts_of(tokens))
    assert set(shapes) == {"(do(d))", "(-do-d)", "((d)od)"}
    assert all(abs(count - 1000) < 5 * 1000**0.5 for count in shapes.values())
    for length, form in ((1, "d"), (2, "-d"), (3, "(d)"), (4, "(-d)")):
        [row] = texts_of(draw(_lengths.Draws(0, length), np.array([length]))[0])
        assert re.sub(r"[0-4]", "d", row.replace(" ", "")) == form


def texts_of(tokens):
    return _lengths.texts(tokens, modular_arithmetic.FLAT.alphabet)
