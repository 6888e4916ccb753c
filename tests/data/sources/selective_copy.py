"""Evidence of symbols among noise."""

import numpy as np

from tests.support.evidence import SourceCase, SourceEvidence
from tests.support.row import Row
from tests.support.sources import OTHER_ASKED, build


def right(text):
    words = text.split()
    ahead = words.index("?")
    assert set(words[ahead:]) == {"?"}
    symbols = [word for word in words[:ahead] if word != "."]
    assert len(symbols) == len(words) - ahead
    return " ".join(["_"] * ahead + symbols)


SPEC = "selective_copy(train=300, validation=40, test=50, lengths=60, length=12, tokens=3, test_length=30, symbols=5)"
ROW = Row(
    SPEC,
    {**OTHER_ASKED, "length": "13", "test_length": "31", "tokens": "4", "symbols": "6"},
    SourceEvidence(
        (SourceCase(SPEC, right, "276f6aaa612d84be"),),
        errors={
            "selective_copy(length=7)": "length must be at least that of the tokens, 8, got 7",
            "selective_copy(tokens=0)": "tokens must be at least 1, got 0",
        },
    ),
)


def test_a_text_by_hand():
    assert right(". . 3 . 1 . . 2 ? ? ?") == "_ _ _ _ _ _ _ _ 3 1 2"


def test_symbols_stand_anywhere():
    words = np.array(
        [text.split() for text in build("selective_copy", train=4000, length=8, tokens=2).load(0).splits["train"].texts]
    )
    shares = (words[:, :8] != ".").mean(axis=0)
    assert (np.abs(shares - 2 / 8) < 5 * (0.25 * 0.75 / 4000) ** 0.5).all()
