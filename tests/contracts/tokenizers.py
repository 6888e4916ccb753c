"""Every tokenizer against one table, and each one's rules by hand."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attention import specs
from attention.data.contracts import PADDING, UNKNOWN

TEXTS = [
    "The film wasn't bad.<br /><br />It cost $1,000.5 ... 'T is 7&amp;8!",
    "the cat sat on the mat, the cat did",
    "Zoë naïve 東京 😀 [MAX 2 9 [MIN 4 7 ] 0 ]",
]
# file: (spec, ids it gives to what it has never seen)
ROWS = {
    "bytes": ("bytes", "known"),
    "characters": ("characters", "unknown"),
    "words": ("words(ngrams=2)", "unknown"),
    "bpe": ("bpe(size=300)", "known"),
    "wordpiece": ("wordpiece(size=90)", "unknown"),
}


def build(spec):
    return specs.build("tokenizer", spec)


def ids(tokenizer, state, text):
    return tokenizer.encode(state, [text])[0]


def test_every_file_has_a_row():
    assert sorted(ROWS) == sorted(specs.names("tokenizer"))


@pytest.mark.parametrize("name", ROWS)
def test_contract(name, tmp_path):
    spec, unseen = ROWS[name]
    tokenizer = build(spec)
    state = tokenizer.train(TEXTS)
    vocabulary = tokenizer.vocabulary(state)
    assert len(vocabulary) == tokenizer.size(state)
    assert tuple(vocabulary[:2]) == ("<padding>", "<unknown>")
    encoded = tokenizer.encode(state, TEXTS)
    for array in encoded:
        assert array.dtype == np.int32
        assert array.min() > PADDING
        assert array.max() < tokenizer.size(state)
        assert array.size > 5
        assert UNKNOWN not in array or name == "wordpiece"
    # one text at a time gives the same as all at once
    assert all(np.array_equal(ids(tokenizer, state, text), array) for text, array in zip(TEXTS, encoded))
    assert (UNKNOWN in ids(tokenizer, state, "Ω Ω")) == (unseen == "unknown")
    tokenizer.save(state, tmp_path / "t")
    assert tokenizer.load(tmp_path / "t") == state
    assert [path.suffix for path in (tmp_path / "t").iterdir()] == [".json"]
    with pytest.raises(ValueError, match="not in a vocabulary of"):
        tokenizer.decode(state, [tokenizer.size(state)])
    assert tokenizer.decode(state, [*encoded[1], PADDING, PADDING]) == tokenizer.decode(state, encoded[1])


@pytest.mark.parametrize("name", ROWS)
def test_text_cannot_forge_the_special_tokens(name):
    tokenizer = build(ROWS[name][0])
    state = tokenizer.train([*TEXTS, "a <padding> b <unknown> c"])
    for text in ("a <padding> b", "a <unknown> b", "<padding>", "<unknown>"):
        found = ids(tokenizer, state, text)
        assert PADDING not in found
        assert found.tolist() != [UNKNOWN]


def test_whitespace_words_named_like_special_tokens_are_words():
    tokenizer = build("words(pattern=whitespace)")
    state = tokenizer.train(["<padding> <unknown> <padding>"])
    assert ids(tokenizer, state, "<unknown> <padding> x").tolist() == [3, 2, 1]


PROGRAM = """
import hashlib, json, pathlib, sys
from attention import specs
texts, folder = json.loads(sys.stdin.read()), pathlib.Path(sys.argv[1])
for spec in sys.argv[2:]:
    tokenizer = specs.build("tokenizer", spec)
    state = tokenizer.train(texts)
    found = [state == tokenizer.load(folder / spec), list(tokenizer.vocabulary(state)),
             [array.tolist() for array in tokenizer.encode(tokenizer.load(folder / spec), texts)]]
    print(hashlib.sha256(json.dumps(found).encode()).hexdigest(), found[0])
"""


def test_another_process_with_another_hash_seed_gives_the_same(tmp_path):
    rng = np.random.default_rng(0)
    # Many words of the same count: an order taken from a set or a hash map would differ.
    texts = TEXTS + [" ".join(f"w{rng.integers(400)}é" for _ in range(60)) for _ in range(20)]
    given = [spec.replace("300", "400") for spec, _ in ROWS.values()] + ["words(pattern=whitespace,max_size=50)"]
    for spec in given:
        tokenizer = build(spec)
        tokenizer.save(tokenizer.train(texts), tmp_path / spec)
    printed = set()
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        command = [sys.executable, "-c", PROGRAM, str(tmp_path), *given]
        done = subprocess.run(command, input=json.dumps(texts), env=environment, capture_output=True, text=True, check=True)
        assert done.stderr == ""
        assert done.stdout.count("True") == len(given)
        printed.add(done.stdout)
    assert len(printed) == 1


@given(st.text())
@settings(deadline=None)
def test_bytes_roundtrip_any_text(text):
    tokenizer = build("bytes")
    state = tokenizer.train([])
    found = ids(tokenizer, state, text)
    assert tokenizer.decode(state, found) == text
    assert found.tolist() == [byte + 2 for byte in text.encode()]


@pytest.fixture(scope="module")
def cased_bpe():
    tokenizer = build("bpe(size=300, lowercase=False)")
    return tokenizer, tokenizer.train(TEXTS)


@given(text=st.text())
@settings(max_examples=50, deadline=None)
def test_bpe_roundtrips_any_text(cased_bpe, text):
    tokenizer, state = cased_bpe
    assert tokenizer.decode(state, ids(tokenizer, state, text)) == text


@given(st.text(min_size=1), st.text(min_size=1))
@settings(deadline=None)
def test_characters_roundtrip_what_they_know(trained_on, other):
    tokenizer = build("characters")
    state = tokenizer.train([trained_on])
    assert tokenizer.decode(state, ids(tokenizer, state, trained_on)) == trained_on
    found = ids(tokenizer, state, other)
    assert len(found) == len(other)
    assert (found == UNKNOWN).tolist() == [character not in trained_on for character in other]


def test_truncated_bytes_and_half_surrogates_do_not_stop():
    tokenizer = build("bytes")
    state = tokenizer.train([])
    assert tokenizer.decode(state, ids(tokenizer, state, "é")[:1]) == "�"
    for name, (spec, _) in ROWS.items():
        tokenizer = build(spec)
        assert len(ids(tokenizer, tokenizer.train(TEXTS), "a\ud800")) > 0, name


@pytest.mark.parametrize(
    ("text", "words"),
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
def test_words_are_split_at_punctuation(text, words):
    tokenizer = build("words")
    state = tokenizer.train([text])
    assert tokenizer.decode(state, ids(tokenizer, state, text)) == " ".join(words)
    assert sorted(state) == sorted(set(words))


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


def test_wordpiece_by_hand():
    tokenizer = build("wordpiece(size=16)")
    state = tokenizer.train(["abab abab ab"])
    assert list(tokenizer.vocabulary(state)) == ["<padding>", "<unknown>", "##a", "##b", "a", "b", "ab", "##ab", "abab"]
    assert ids(tokenizer, state, "ABAB aba abx").tolist() == [8, 6, 2, 1]
    assert tokenizer.decode(state, [8, 6, 2, 1, 0]) == "abab aba <unknown>"


def test_wordpiece_alphabet_never_exceeds_the_size():
    text = " ".join(chr(0x4E00 + i) + chr(0x4E00 + (i * 7) % 500) for i in range(500))
    tokenizer = build("wordpiece(size=100)")
    assert tokenizer.size(tokenizer.train([text])) <= 100
    assert len({tokenizer.train([text]) for _ in range(3)}) == 1


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("words(max_size=2)", "max_size must be at least 3"),
        ("words(min_count=0)", "min_count must be at least 1"),
        ("words(ngrams=3)", "ngrams must be 1 or 2, got 3"),
        ("words(pattern=punct)", "nearest: 'punctuation'"),
        ("characters(max_size=0)", "max_size must be at least 3"),
        ("bpe(size=257)", "size must be at least 258"),
        ("wordpiece(size=15)", "size must be at least 16"),
        ("word", "nearest: 'words'"),
    ],
)
def test_bad_options(spec, message):
    with pytest.raises(ValueError, match=message):
        build(spec)


@pytest.mark.parametrize("content", [None, "{", '{"tokens": [1]}', '{"tokens": ["a", "a"]}', "[]", '{"model": {"type": "x"}}'])
@pytest.mark.parametrize("name", ROWS)
def test_damaged_files_are_named(name, content, tmp_path):
    tokenizer = build(ROWS[name][0])
    tokenizer.save(tokenizer.train(TEXTS), tmp_path)
    (file,) = tmp_path.iterdir()
    if content is None:
        file.unlink()
    else:
        file.write_text(content)
    with pytest.raises(ValueError, match=file.name):
        tokenizer.load(tmp_path)
