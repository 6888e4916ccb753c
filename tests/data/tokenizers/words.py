"""Evidence of words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attention.data.contracts import UNKNOWN
from attention.data.tokenizers import words
from tests.support.evidence import TokenizerEvidence
from tests.support.row import Row
from tests.support.tokenizers import build, ids

OPTIONS = {"max_size": "20", "min_count": "2", "lowercase": "False", "pattern": "whitespace", "ngrams": "1"}
ERRORS = {
    "words(max_size=2)": "max_size must be at least 3",
    "words(min_count=0)": "min_count must be at least 1",
    "words(ngrams=3)": "ngrams must be 1 or 2, got 3",
    "word": "nearest: 'words'",
    "words(pattern=punct)": "nearest: 'punctuation'",
}
ROW = Row("words(ngrams=2)", OPTIONS, TokenizerEvidence("unknown", alone="ngrams=2", errors=ERRORS))


def test_whitespace_words_named_like_special_tokens_are_words():
    tokenizer = build("words(pattern=whitespace)")
    state = tokenizer.train(["<padding> <unknown> <padding>"])
    assert ids(tokenizer, state, "<unknown> <padding> x").tolist() == [3, 2, 1]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("It's <br />GOOD, isn't it?!", ["it's", "<br />", "good", ",", "isn't", "it", "?", "!"]),
        ("the film 's plot ... a 1,000.5 $", ["the", "film", "'s", "plot", "...", "a", "1,000.5", "$"]),
        (
            "AT&amp;T #39;s x<y a_b well-made",
            ["at", "&amp;", "t", "#39;", "s", "x", "<", "y", "a_b", "well", "-", "made"],
        ),
        ("end.Next 'quoted' caffè", ["end", ".", "next", "'", "quoted", "'", "caffè"]),
    ],
)
def test_words_are_split_at_punctuation(text, wanted):
    tokenizer = build("words")
    state = tokenizer.train([text])
    assert tokenizer.decode(state, ids(tokenizer, state, text)) == " ".join(wanted)
    assert sorted(state) == sorted(set(wanted))


def test_words_between_blanks_keep_listops_tokens():
    tokenizer = build("words(pattern=whitespace, lowercase=False)")
    state = tokenizer.train(["[MAX 2 9 [MIN 4 7 ] 0 ]"])
    assert list(state) == ["]", "0", "2", "4", "7", "9", "[MAX", "[MIN"]  # by count, then alphabetically
    assert ids(tokenizer, state, "[MIN 9 3 ]\n").tolist() == [9, 7, 1, 2]


def test_words_limits():
    texts = ["c b a a b a d"]
    assert list(build("words(max_size=4)").train(texts)) == ["a", "b"]
    assert list(build("words(min_count=2)").train(texts)) == ["a", "b"]
    assert list(build("words(lowercase=False)").train(["B a"])) == ["B", "a"]
    with pytest.raises(ValueError, match="no token occurs 9 times"):
        build("words(min_count=9)").train(texts)


def test_word_pairs_follow_the_words():
    tokenizer = build("words(ngrams=2)")
    state = tokenizer.train(["x y x y", "y z"])
    assert list(state) == ["y", "x", "x y", "y x", "y z", "z"]
    # words x y q z, then the pairs "x y" (known), "y q" and "q z" (left out)
    found = ids(tokenizer, state, "x y q z")
    assert found.tolist() == [state["x"], state["y"], UNKNOWN, state["z"], state["x y"]]
    assert tokenizer.decode(state, found) == "x y <unknown> z"
    tags = tokenizer.train(["<br /> a <br /> a"])
    assert ids(tokenizer, tags, "<br /> a").tolist() == [tags["<br />"], tags["a"], tags["<br /> a"]]


@given(st.text(st.sampled_from("ab1_'’.,<>/&;# \t\n\x1c\x85\u2028sTtre é日Σ"), max_size=16))
def test_parts_of_a_text_have_its_words(text):
    for options in ({}, {"lowercase": False}, {"pattern": "whitespace"}):
        tokenizer = words.build(**options)
        assert [word for part in tokenizer.parts(text) for word in tokenizer.pieces(part)] == list(tokenizer.pieces(text))
