"""Evidence of word pieces."""

from tests.support.evidence import TokenizerEvidence
from tests.support.row import Row
from tests.support.tokenizers import build, ids

ROW = Row(
    "wordpiece(size=90)",
    {"size": "60", "lowercase": "False"},
    TokenizerEvidence(
        "unknown",
        errors={"wordpiece(size=15)": "size must be at least 16", "wordpiece(size=9999999999)": "size must be at most 1048576"},
        unknown=True,
    ),
)


def test_by_hand():
    tokenizer = build("wordpiece(size=16)")
    state = tokenizer.train(["abab abab ab"])
    assert list(tokenizer.vocabulary(state)) == ["<padding>", "<unknown>", "##a", "##b", "a", "b", "ab", "##ab", "abab"]
    assert ids(tokenizer, state, "ABAB aba abx").tolist() == [8, 6, 2, 1]
    assert tokenizer.decode(state, [8, 6, 2, 1, 0]) == "abab aba <unknown>"


def test_the_alphabet_never_exceeds_the_size():
    text = " ".join(chr(0x4E00 + i) + chr(0x4E00 + (i * 7) % 500) for i in range(500))
    tokenizer = build("wordpiece(size=100)")
    assert tokenizer.size(tokenizer.train([text])) <= 100
    assert len({tokenizer.train([text]) for _ in range(3)}) == 1
