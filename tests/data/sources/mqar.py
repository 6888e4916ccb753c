"""Evidence of keys with values that are asked for."""

import numpy as np
import pytest

from tests.support.evidence import SourceCase, SourceEvidence
from tests.support.row import Row
from tests.support.sources import OTHER_ASKED, baselines, build


def right(text):
    """A key that stands there for the second time wants what stood behind it for the first time; filler is 0."""
    words, wanted = text.split(), []
    for place, word in enumerate(words):
        again = word != "0" and word in words[:place]
        wanted.append(words[words.index(word) + 1] if again else "_")
    return " ".join(wanted)


SPEC = "mqar(train=300, validation=40, test=50, lengths=60, length=16, pairs=3, test_length=40, vocabulary=64)"
ROW = Row(
    SPEC,
    {**OTHER_ASKED, "length": "18", "test_length": "44", "pairs": "2", "vocabulary": "66", "filler": "random"},
    SourceEvidence(
        (SourceCase(SPEC, right, "924016ef253b9fa3"),),
        errors={
            "mqar(length=14)": "length must be an even number of at least 4 pairs, 16, got 14",
            "mqar(pairs=0)": "pairs must be at least 1, got 0",
            "mqar(vocabulary=320)": "vocabulary must be an even number above the longest text, 320, got 320",
        },
    ),
)


def test_the_example_of_the_authors():
    """That of the docstring of the function that generates the data of the paper."""
    assert right("2 8 4 7 0 0 4 0 0 0 0 0 2 0 0 0") == "_ _ _ _ _ _ 7 _ _ _ _ _ 8 _ _ _"


@pytest.mark.parametrize("filler", ["zero", "random"])
def test_pairs_and_questions(filler):
    """Distinct keys and values of their own halves, and each key asked for once, at an even place."""
    corpus = build("mqar", train=2000, lengths=90, length=32, pairs=4, test_length=64, vocabulary=66, filler=filler).load(0)
    for name in ("train", "lengths"):
        for text, row in zip(corpus.splits[name].texts, corpus.splits[name].wanted):
            words, wanted = np.array(text.split()), np.array(row.split())
            pairs = len(words) * 4 // 32
            keys, values = words[: 2 * pairs : 2].astype(int), words[1 : 2 * pairs : 2].astype(int)
            assert len({*keys}) == len({*values}) == pairs
            assert (1, 33) <= (keys.min(), values.min()) <= (keys.max(), values.max()) <= (32, 65)
            [places] = np.nonzero(wanted != "_")
            assert (places % 2 == 0).all()
            assert {(words[place], wanted[place]) for place in places} == {
                *zip(words[: 2 * pairs : 2], words[1 : 2 * pairs : 2])
            }
            rest = np.delete(words[2 * pairs :], places - 2 * pairs)
            assert set(rest) == {"0"} if filler == "zero" else len(set(rest)) > 2
    assert baselines(corpus) == {"the_first_value": 0.25}


def test_gaps_are_drawn_as_numpy_draws_them():
    """One after the other without those before, in proportion to the weights of the paper."""
    corpus = build("mqar", train=20_000, lengths=0, length=24, pairs=3, vocabulary=64).load(0)
    wanted = np.array([row.split() for row in corpus.splits["train"].wanted])
    found = (wanted != "_")[:, 6::2].mean(axis=0)
    weights = np.arange(1.0, 10.0) ** (0.01 - 1)
    rng = np.random.default_rng(0)
    drawn = [rng.choice(9, 3, replace=False, p=weights / weights.sum()) for _ in range(20_000)]
    expected = np.bincount(np.concatenate(drawn), minlength=9) / 20_000
    assert np.abs(found - expected).max() < 5 * (2 * 0.25 / 20_000) ** 0.5
