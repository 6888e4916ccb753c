"""Evidence of the most frequent tag of each word."""

from collections import Counter

import numpy as np

from attention import specs
from tests.support.evidence import RivalEvidence
from tests.support.rivals import TAGS, sentences, tagged, tags_said
from tests.support.row import Row


def reference(arrays, train, asked):
    """In plain Python; how likely a tag is that is told, as the arrays say."""
    pairs = [pair for words, tags in tagged(train) for pair in zip(words, tags) if pair[1] is not None]
    usual = Counter(sorted(tag for _, tag in pairs)).most_common(1)[0][0]
    told = lambda word: Counter(tag for other, tag in pairs if other == word).most_common(1)[0][0]
    known = {word: told(word) for word in {word for word, _ in pairs}}
    tags = [[known.get(word, usual) for word in words] for words, _ in tagged(asked)]
    share = lambda word, told: {
        tag: p if tag == told else (1 - p) / 3 for p in [arrays["likely"][int(word in known)]] for tag in TAGS
    }
    return tags_said(asked, tags, [[*map(share, words, told)] for (words, _), told in zip(tagged(asked), tags)])


ROW = Row(
    "most_frequent",
    {"words": "9"},
    RivalEvidence(
        reference,
        free=("names",),
        errors={
            "most_frequent(words=0)": r"words must be in \[1, 2147483648\], got 0",
            "most_frequent(size=1)": "unknown option 'size'; options of most_frequent: words",
        },
    ),
)


def test_by_hand():
    """Of equal ones the tag that comes first in train, though others are more frequent; words are taken as they are written."""
    train = sentences([("a B a", "X VERB NOUN"), ("c", "NOUN"), ("d", "_"), ("e f", "NOUN X")])
    rival = specs.build("rival", "most_frequent")
    found = rival.answer(rival.fit(train, train), sentences([("a B b c d", "X X X X _")]))
    assert [TAGS[tag] for tag in found["predicted"][0]] == ["X", "VERB", "NOUN", "NOUN", "NOUN"]
    assert found["right"].tolist() == [[True, False, False, False, False]]
    assert found["known"].tolist() == [[True, True, True, True, False]]


def test_likelihoods_by_hand():
    """On validation 2 of 3 known words are right, and 1 of 1 other, whose tag is the first of three."""
    train, validation = sentences([("a b c", "X VERB DET")]), sentences([("a b c new", "X VERB NOUN DET"), ("a", "_")])
    rival = specs.build("rival", "most_frequent")
    found = rival.answer(rival.fit(train, validation), sentences([("a a x x a", "X DET X DET _")]))
    np.testing.assert_allclose(np.exp(-found["nll"][0]), [3 / 5, 2 / 15, 1 / 9, 2 / 3, 1])
