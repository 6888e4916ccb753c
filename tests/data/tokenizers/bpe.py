"""Evidence of byte-pair encoding."""

import functools

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.evidence import TokenizerEvidence
from tests.support.row import Row
from tests.support.tokenizers import TEXTS, build, ids

ROW = Row(
    "bpe(size=300)",
    {"size": "290", "lowercase": "False"},
    TokenizerEvidence(
        "known", errors={"bpe(size=257)": "size must be at least 258", "bpe(size=1048577)": "size must be at most 1048576"}
    ),
)


@functools.cache
def cased():
    tokenizer = build("bpe(size=300, lowercase=False)")
    return tokenizer, tokenizer.train(TEXTS)


@given(st.text())
@settings(max_examples=50)
def test_any_text_comes_back(text):
    tokenizer, state = cased()
    assert tokenizer.decode(state, ids(tokenizer, state, text)) == text
