"""Evidence of bytes."""

from hypothesis import given
from hypothesis import strategies as st

from tests.support.evidence import TokenizerEvidence
from tests.support.row import Row
from tests.support.tokenizers import build, ids

ROW = Row("bytes", {}, TokenizerEvidence("known"))


@given(st.text())
def test_any_text_comes_back(text):
    tokenizer = build("bytes")
    state = tokenizer.train([])
    found = ids(tokenizer, state, text)
    assert tokenizer.decode(state, found) == text
    assert found.tolist() == [byte + 2 for byte in text.encode()]


def test_truncated_bytes_do_not_stop():
    tokenizer = build("bytes")
    state = tokenizer.train([])
    assert tokenizer.decode(state, ids(tokenizer, state, "é")[:1]) == "�"
