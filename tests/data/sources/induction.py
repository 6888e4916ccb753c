"""Evidence of what stood behind a mark."""

import numpy as np

from tests.support.evidence import SourceCase, SourceEvidence
from tests.support.row import Row
from tests.support.sources import OTHER_ASKED, build


def right(text):
    words = text.split()
    [mark] = [place for place, word in enumerate(words[:-1]) if word == "=>"]
    assert words[-1] == "=>"
    return " ".join(["_"] * (len(words) - 1) + [words[mark + 1]])


SPEC = "induction(train=300, validation=40, test=50, lengths=60, length=8, test_length=20, symbols=5)"
ROW = Row(
    SPEC,
    {**OTHER_ASKED, "length": "9", "test_length": "21", "symbols": "6"},
    SourceEvidence(
        (SourceCase(SPEC, right, "9ddb6d9bedc57a81"),),
        errors={"induction(length=2)": "length must be at least 3, got 2"},
    ),
)


def test_a_text_by_hand():
    assert right("4 1 => 3 0 2 =>") == "_ _ _ _ _ _ 3"


def test_the_mark_stands_anywhere_but_at_the_end():
    texts = build("induction", train=6000, length=8).load(0).splits["train"].texts
    counts = np.bincount([text.split().index("=>") for text in texts])
    assert len(counts) == 6
    assert (np.abs(counts - 1000) < 5 * 1000**0.5).all()
