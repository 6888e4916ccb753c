"""Evidence of keys and values of several words."""

import re
from collections import Counter

import numpy as np
import pytest

from attention.data.sources import mqmtar
from attention.data.sources._lengths import Draws
from tests.support.evidence import SourceCase, SourceEvidence
from tests.support.row import Row
from tests.support.sources import OTHER_ASKED, answered, build

PAIR = re.compile(r"((?:\d+ )+): ((?:\d+ )+)")


def answer(question):
    text = " ".join([*question, ""])
    pairs = dict(PAIR.findall(text))
    keys = re.findall(r"\? ((?:\d+ )+)", text)
    return " ".join(f"? {pairs[key]}" for key in keys).split()


def right(text):
    return answered(text, answer)


SIZES = "train=300, validation=40, test=50, lengths=60, min_length=20, max_length=30, test_length=60"
SPEC = f"mqmtar({SIZES}, queries=2, symbols=9, vocabulary=40)"
ROW = Row(
    SPEC,
    {
        **OTHER_ASKED,
        "min_length": "21",
        "max_length": "32",
        "test_length": "64",
        "key": "3",
        "value": "3",
        "queries": "1",
        "symbols": "10",
        "vocabulary": "41",
    },
    SourceEvidence(
        (
            SourceCase(SPEC, right, "73ecadaaf6bb2d97"),
            SourceCase(f"mqmtar({SIZES}, key=1, value=3, queries=2, vocabulary=200)", right),
        ),
        errors={
            "mqmtar(queries=9)": "min_length must be at least 68, to have 9 pairs, got 32",
            "mqmtar(symbols=4)": "vocabulary must be at most 16, all that 4 symbols make, got 10000",
            "mqmtar(key=9)": "256 symbols make more than 2147483648 keys or values: want fewer symbols, or shorter ones",
            "mqmtar(value=0)": "value must be at least 1, got 0",
        },
    ),
)


def test_a_text_by_hand():
    text = "bos . 7 2 : 4 4 . . . 1 9 : 0 3 . ? 1 9 ? 7 2 sep ? 0 3 ? 4 4"
    assert right(text) == " ".join(["_"] * 22) + " ? 0 3 ? 4 4 eos"


def test_keys_and_values_are_distinct_and_of_each_split_its_own():
    corpus = build("mqmtar", train=400, validation=400, test=10, symbols=16, vocabulary=60).load(0)
    seen = []
    for split in (corpus.splits["train"], corpus.splits["validation"]):
        pairs = [PAIR.findall(text) for text in split.texts]
        assert all(len({*keys}) == len({*values}) == len(keys) for keys, values in (zip(*each) for each in pairs))
        assert {len(each) for each in pairs} == {4, 5, 6, 7, 8}  # int(0.8 length / 6) for 32 to 64
        seen.append({key for each in pairs for key, _ in each})
        assert len(seen[-1]) == 60
    assert seen[0] != seen[1]


def test_blanks_before_a_pair_are_drawn_as_the_authors_do():
    """Their way: a pair in the middle of 18 blanks and itself, of which ten others are deleted, in a part of 8."""
    shape = mqmtar._Shape(2, 2, 4, 256, 10_000)
    found = Counter(shape._before(Draws(0, 9), 20_000, 8).tolist())
    rng = np.random.default_rng(0)
    expected = Counter(int((rng.permutation(12)[10:] < 7).sum()) for _ in range(20_000))
    assert set(found) == set(expected) == {0, 1, 2}
    for count, many in expected.items():
        assert found[count] == pytest.approx(many, abs=5 * (2 * many) ** 0.5)
