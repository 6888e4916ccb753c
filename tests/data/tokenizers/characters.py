"""Evidence of characters."""

from hypothesis import given
from hypothesis import strategies as st

from attention.data.contracts import UNKNOWN
from tests.support.evidence import TokenizerEvidence
from tests.support.row import Row
from tests.support.tokenizers import build, ids

ROW = Row(
    "characters",
    {"max_size": "20"},
    TokenizerEvidence("unknown", errors={"characters(max_size=0)": "max_size must be at least 3"}),
)


@given(st.text(min_size=1), st.text(min_size=1))
def test_what_it_knows_comes_back(trained_on, other):
    tokenizer = build("characters")
    state = tokenizer.train([trained_on])
    assert tokenizer.decode(state, ids(tokenizer, state, trained_on)) == trained_on
    found = ids(tokenizer, state, other)
    assert len(found) == len(other)
    assert (found == UNKNOWN).tolist() == [character not in trained_on for character in other]
