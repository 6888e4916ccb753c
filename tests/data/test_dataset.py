"""From texts to measured, truncated, cached arrays; and pretrained vectors."""

import gzip
import json
import os
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.flax
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st

import attention.data.dataset as dataset_module
from attention import specs
from attention.data import remarks, vector_tensors
from attention.data.contracts import Corpus, Source, Split
from attention.data.dataset import content_hash, load, verify_hashes
from attention.data.encode import encode_texts
from attention.data.repeats import seen_before
from attention.data.rules import MAJORITY
from attention.data.vectors import load_vectors

DATA = os.environ.get("ATTENTION_DATA_DIR")
real_data = pytest.mark.skipif(not DATA, reason="ATTENTION_DATA_DIR is not set")


def corpus():
    return Corpus(
        splits={
            "train": Split(["a b c d e", "a a b", "c"], np.array([0, 1, 1])),
            "validation": Split(["a  B", "x C"], np.array([1, 0])),
            "test": Split(["C", "x  c", "new a"], None),
        },
        classes=("no", "yes"),
        notes=("a note",),
        resolved="toy",
    )


@pytest.fixture
def toy(monkeypatch, tmp_path):
    """`toy(**options)` loads a small corpus; `toy.corpus` may be changed, `toy.trained` counts trainings."""
    build = specs.build

    def fake(kind, spec):
        if kind == "source":
            return Source(lambda seed: run.corpus, (MAJORITY,))
        record = build(kind, spec)

        def train(texts):
            run.trained += 1
            return record.train(texts)

        return record._replace(train=train)

    def run(tokenizer="words", **options):
        options = {"max_length": 4, "truncate": "head", "seed": 0, "cache_dir": run.cache, **options}
        return load("toy", tokenizer, **options)

    run.corpus, run.trained, run.cache = corpus(), 0, tmp_path / "cache"
    monkeypatch.setattr(dataset_module.specs, "build", fake)
    return run


def same(one, other):
    return all(
        np.array_equal(getattr(one.splits[name], field), getattr(other.splits[name], field))
        for name in one.splits
        for field in ("flat", "offsets", "labels")
    )


def test_load_by_hand(toy):
    data = toy()
    # words by count: a 3, b 2, c 2, d, e
    assert data.tokenizer_state == {"a": 2, "b": 3, "c": 4, "d": 5, "e": 6}
    assert data.vocab_size == 7
    train, test = data.splits["train"], data.splits["test"]
    assert (train.flat.dtype, train.offsets.dtype, train.labels.dtype) == (np.int32, np.int64, np.int32)
    assert train.flat.tolist() == [2, 3, 4, 5, 2, 2, 3, 4]
    assert train.offsets.tolist() == [0, 4, 7, 8]
    assert train.lengths.tolist() == [4, 3, 1]
    assert train.labels.tolist() == [0, 1, 1]
    assert len(train) == 3
    assert test.flat.tolist() == [4, 1, 4, 1, 2]
    assert test.labels.tolist() == [-1, -1, -1]
    assert data.statistics["train"] == {
        "examples": 3,
        "mean_length": pytest.approx(8 / 3),
        "max_length": 4,
        "unknown_rate": 0.0,
        "unknown_texts": 0,
        "truncated_share": pytest.approx(1 / 3),
    }
    assert data.statistics["validation"] == {
        "examples": 2,
        "mean_length": 2.0,
        "max_length": 2,
        "unknown_rate": pytest.approx(1 / 4),
        "unknown_texts": 0,
        "truncated_share": 0.0,
        "seen_in_train": 0,
    }
    assert data.statistics["test"]["unknown_rate"] == pytest.approx(2 / 5)
    assert data.statistics["test"]["seen_in_train"] == 1  # "C"
    assert data.statistics["test"]["seen_in_train_or_validation"] == 2  # and "x  c"
    seen = {name: found.tolist() for name, found in data.seen.items()}
    assert seen == {"validation": [False] * 2, "test": [True, True, False]}
    assert (data.classes, data.notes, data.source) == (("no", "yes"), ("a note",), "toy")
    assert data.rules == {"majority": {"": 1}}
    assert data.baselines == {"train": {"majority": pytest.approx(2 / 3)}, "validation": {"majority": 0.5}, "test": {}}
    assert data.texts["test"] == ["C", "x  c", "new a"]
    assert data.hashes == {name: content_hash(split) for name, split in corpus().splits.items()}


@pytest.mark.parametrize(
    ("truncate", "max_length", "kept"),
    [
        ("head", 3, "abc"),
        ("tail", 3, "efg"),
        ("middle", 3, "abg"),
        ("middle", 4, "abfg"),
        ("middle", 1, "a"),
        ("tail", 1, "g"),
        ("head", 7, "abcdefg"),
        ("middle", 9, "abcdefg"),
    ],
)
def test_truncation(truncate, max_length, kept):
    tokenizer = specs.build("tokenizer", "bytes")
    state = tokenizer.train([])
    found = encode_texts(tokenizer, state, ["abcdefg"], max_length=max_length, truncate=truncate).flat
    assert found.dtype == np.int32
    assert tokenizer.decode(state, found) == kept


@pytest.mark.parametrize("text", ["", "  \n"])
def test_texts_without_tokens_are_refused(toy, text):
    toy.corpus.splits["validation"].texts[1] = text
    with pytest.raises(ValueError, match=r"toy: validation row 1 \(counted from 0\) is empty"):
        toy()
    tokenizer = specs.build("tokenizer", "words")
    with pytest.raises(ValueError, match=r"text 2 \(counted from 0\) is empty"):
        encode_texts(tokenizer, {"a": 2}, ["a", "b", text], max_length=3, truncate="head")


@pytest.mark.parametrize("text", [None, 3, b"a"])
def test_what_is_no_text_is_refused(text):
    tokenizer = specs.build("tokenizer", "words")
    with pytest.raises(ValueError, match=r"text 1 \(counted from 0\) is no string but "):
        encode_texts(tokenizer, {"a": 2}, ["a", text], max_length=3, truncate="head")


def test_ids_outside_of_the_vocabulary_are_refused():
    tokenizer = specs.build("tokenizer", "words")
    with pytest.raises(ValueError, match=r"text 1 .* has the token ids 2 to 9, outside of a vocabulary of 4"):
        encode_texts(tokenizer, {"a": 2, "b": 9}, ["a", "a b"], max_length=3, truncate="head")


def of_one(*texts, max_length=9):
    """The notes on a file of these texts, for a tokenizer that knows one word."""
    encoded = encode_texts(specs.build("tokenizer", "words"), {"a": 2}, texts, max_length=max_length, truncate="head")
    return remarks.notes({"new.tsv": remarks.statistics(encoded)})


def test_much_that_is_unknown_is_said_with_the_flag_that_helps():
    assert of_one("a a a a a a a a", "a") == []
    share, whole = of_one("x", "a y", "x y")
    assert whole == "2 of 3 texts of new.tsv hold nothing but unknown tokens: what is said of them is a guess"
    assert share.startswith("80 % of the tokens of new.tsv are unknown to the tokenizer")
    assert "--config.data.tokenizer=bytes" in share


def test_much_that_is_cut_off_is_said_with_the_flag_that_helps():
    assert of_one("a a a", "a", "a", "a", "a", max_length=2) == []
    (note,) = of_one("a a a", "a", "a", "a", max_length=2)
    assert note.startswith("25 % of the texts of new.tsv are longer than config.data.max_length")
    assert "--config.data.max_length=N" in note


def test_splits_are_named_together(toy):
    unknown, seen = remarks.notes(toy().statistics)[::2]
    assert unknown.startswith("25 % of the tokens of validation, 40 % of the tokens of test are unknown")
    assert seen == "2 of 3 texts of test are also in train or validation: a score on them is partly one of memory"


def test_bad_input(toy):
    with pytest.raises(ValueError, match="max_length must be at least 1, got 0"):
        toy(max_length=0)
    with pytest.raises(ValueError, match=r"unknown truncate 'midle' \(nearest: 'middle'\); known: head, tail, middle"):
        toy(truncate="midle")
    with pytest.raises(ValueError, match=r"unknown windows 'steam' \(nearest: 'stream'\); known: stream, packed, "):
        toy(windows="steam")
    toy.corpus = corpus()._replace(splits={"train": corpus().splits["train"], "test": Split([], None)})
    with pytest.raises(ValueError, match="the test split is empty"):
        toy()
    toy.corpus = corpus()._replace(splits={"test": corpus().splits["test"]})
    with pytest.raises(ValueError, match="no train split; it has: test"):
        toy()
    toy.corpus = corpus()._replace(splits={"train": Split(["a", "b"], np.array([0]))})
    with pytest.raises(ValueError, match="2 texts and 1 labels"):
        toy()


def test_a_given_state_is_used_as_it_is(toy):
    data = toy(tokenizer_state={"e": 2})
    assert toy.trained == 0
    assert data.vocab_size == 3
    assert data.splits["train"].flat.tolist() == [1] * 8
    assert toy(tokenizer_state={"a": 2}).splits["train"].flat.tolist() == [2, 1, 1, 1, 2, 2, 1, 1]


@pytest.mark.parametrize("tokenizer", ["words", "bytes", "bpe(size=260)"])
def test_the_cache_gives_identical_arrays(toy, tokenizer):
    first, second = toy(tokenizer), toy(tokenizer)
    assert toy.trained == 1
    assert same(first, second)
    assert first.statistics == second.statistics
    assert first.tokenizer_state == second.tokenizer_state
    assert first.notes == second.notes == ("a note",)


def test_the_cache_tells_settings_apart(toy):
    toy()
    tail = toy(truncate="tail")
    assert tail.splits["train"].flat.tolist() == [3, 4, 5, 6, 2, 2, 3, 4]
    assert toy(max_length=1).splits["train"].flat.tolist() == [2, 2, 4]
    assert toy("words(max_size=3)").splits["train"].flat.tolist() == [2, 1, 1, 1, 2, 2, 1, 1]
    toy.corpus.splits["train"].texts[2] = "b"
    assert toy().splits["train"].flat.tolist() == [2, 3, 4, 5, 2, 2, 3, 3]
    # the validation text now occurs in train, though validation itself is as before
    toy.corpus.splits["train"].texts[2] = "A b"
    assert toy().statistics["validation"]["seen_in_train"] == 1


@pytest.mark.parametrize("damage", ["flip", "truncate", "empty"])
def test_a_damaged_cache_file_is_named_and_made_again(toy, damage):
    first = toy()
    files = sorted((toy.cache / "tokens").iterdir())
    assert len(files) == 4  # the tokenizer and three splits
    for path in files:
        whole = path.read_bytes()
        flipped = whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:]
        path.write_bytes({"flip": flipped, "truncate": whole[:-1], "empty": b""}[damage])
        again = toy()
        assert [str(path) in note for note in again.notes] == [False, True]
        assert same(first, again)
        assert path.read_bytes() == whole
    assert toy().notes == ("a note",)


def test_a_cache_that_cannot_be_written_is_said(toy, tmp_path):
    toy.cache = tmp_path / "file"
    toy.cache.write_text("")
    data = toy()
    assert data.splits["train"].flat.tolist() == [2, 3, 4, 5, 2, 2, 3, 4]
    assert sum("token cache" in note for note in data.notes) == 1  # of several that are not kept
    assert any("cannot be written" in note for note in data.notes)


def test_the_default_cache_folder(toy, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.delenv("ATTENTION_CACHE_DIR", raising=False)
    toy(cache_dir=None)
    assert (tmp_path / "xdg" / "attention-lab" / "tokens").is_dir()
    monkeypatch.setenv("ATTENTION_CACHE_DIR", str(tmp_path / "own"))
    toy(cache_dir=None)
    assert (tmp_path / "own" / "tokens").is_dir()


def test_content_hash_is_fixed_and_sees_every_change():
    split = Split(["ab", "c é"], np.array([0, 1]))
    known = content_hash(split)
    assert known == "d4c4882aca5f67ccb4e81251352856794e784591177981db8cfee1719c4e72e0"
    assert content_hash(Split(("ab", "c é"), np.array([0, 1], np.int8))) == known
    others = [
        Split(["a", "bc é"], split.labels),
        Split(["ab", "c e"], split.labels),
        Split(split.texts, np.array([1, 0])),
        Split(split.texts, None),
        Split(["c é", "ab"], split.labels),
    ]
    assert len({known, *map(content_hash, others)}) == 6


def test_verify_hashes():
    verify_hashes({"train": "a", "test": "b", "more": "c"}, {"train": "a", "test": "b"})
    with pytest.raises(ValueError, match="test split is not the one recorded: recorded hash b, found x"):
        verify_hashes({"train": "a", "test": "x"}, {"train": "a", "test": "b"})
    with pytest.raises(ValueError, match="recorded hash b, found no such split"):
        verify_hashes({"train": "a"}, {"train": "a", "test": "b"})


def test_a_source_of_files(tmp_path):
    rows = [f"word{i % 7} is {'good' if i % 2 else 'bad'}\t{i % 2}" for i in range(40)]
    (tmp_path / "train.tsv").write_text("\n".join(["text\tlabel", *rows]) + "\n")
    options = {"max_length": 8, "truncate": "head", "cache_dir": tmp_path / "cache"}
    data = load(f"files(train='{tmp_path / 'train.tsv'}')", "words", seed=0, **options)
    assert {name: len(split) for name, split in data.splits.items()} == {"train": 35, "validation": 5}
    assert data.statistics["validation"]["seen_in_train"] == 0
    other = load(f"files(train='{tmp_path / 'train.tsv'}')", "words", seed=1, **options)
    assert other.hashes != data.hashes


@given(st.lists(st.sampled_from(["a b", "A  b", "a\tB ", "ab", "c"])), st.lists(st.sampled_from(["A b", "AB"])))
@settings(deadline=None)
def test_seen_before(texts, earlier):
    expected = [any(t.lower().split() == e.lower().split() for e in earlier) for t in texts]
    assert seen_before(texts, earlier).tolist() == expected


def _texts(path):
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
        return [line.rpartition("\t")[0] for line in file][1:]


@real_data
def test_known_duplicates_on_real_data(tmp_path):
    data = load(f"trec6(path='{DATA}/trec6')", "words", max_length=64, truncate="head", seed=0, cache_dir=tmp_path)
    statistics = data.statistics["test"]
    assert statistics["seen_in_train"] <= statistics["seen_in_train_or_validation"] == 11
    assert statistics["unknown_rate"] < 0.1
    imdb = Path(DATA or "") / "imdb"
    assert seen_before(_texts(imdb / "test.tsv.gz"), _texts(imdb / "train.tsv.gz")).sum() == 123


VOCABULARY = ["<padding>", "<unknown>", "the", "cat", ". . .", "mat"]
GLOVE = "the 1 2.5\n<padding> 9 9\n<unknown> 9 9\n. . . 0.5 -0.25\ncat 3 4\n"


@pytest.mark.parametrize("form", ["glove", "header", "fasttext", "gzip", "windows"])
def test_vectors(tmp_path, form):
    text = {
        "glove": GLOVE,
        "header": "5 2\n" + GLOVE,
        "fasttext": "5 2\n" + GLOVE.replace("\n", " \n"),
        "gzip": GLOVE,
        "windows": GLOVE.replace("\n", "\r\n"),
    }[form]
    path = tmp_path / "vectors.txt"
    path.write_bytes(gzip.compress(text.encode()) if form == "gzip" else text.encode())
    matrix, found = load_vectors(path, VOCABULARY)
    assert matrix.dtype == np.float32
    assert matrix.tolist() == [[0, 0], [0, 0], [1, 2.5], [3, 4], [0.5, -0.25], [0, 0]]
    assert found.tolist() == [False, False, True, True, True, False]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("the 1 2\ncat 1\n", "vectors.txt, line 2: want 2 values after the word, got 1"),
        ("the 1 2\nx 1 2 3\n", "vectors.txt, line 2: want 2 values after the word, got 3"),
        ("the 1 2\n\ncat 1 2\n", "vectors.txt, line 2: want 2 values after the word, got 0"),
        ("the 1 2\nx  1 2\n", "vectors.txt, line 2: want 2 values"),
        ("3 2\nthe 1 2 3\n", "vectors.txt, line 2: want 2 values after the word, got 3"),
        ("the 1 b\n", "vectors.txt, line 1: a value is not a number"),
        ("the 1 nan\n", "vectors.txt, line 1: a value is not finite"),
        ("the 1 1e39\n", "vectors.txt, line 1: a value is not finite"),
        ("the 1 2\nthe 1 2\n", "vectors.txt, line 2: the word 'the' occurs twice"),
        ("7 2\nthe 1 2\n", "the header says 7 vectors, the file holds 1"),
        ("dog 1 2\n", "none of the 4 words of the vocabulary"),
        ("", "none of the 4 words of the vocabulary"),
        ("\n", "line 1: want 'word v1 v2 ...'"),
    ],
)
def test_bad_vectors(tmp_path, text, message):
    path = tmp_path / "vectors.txt"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        load_vectors(path, VOCABULARY)


TOKENS = ["[PAD]", "cat", "the", ". . .", "dog"]
ROWS = np.array([[9, 9], [3, 4], [1, 2.5], [0.5, -0.25], [7, 7]])


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "float64"])
@pytest.mark.parametrize("form", ["metadata", "tokenizer.json", "unigram", "vocab.json", "vocab.txt", "filled up"])
def test_vectors_of_tensors(tmp_path, form, dtype):
    """The tokens are where anybody has them, and the tensor is the one with a row for each."""
    numbered = {token: number for number, token in enumerate(TOKENS)}
    files = {
        "tokenizer.json": {
            "model": {"vocab": {t: i for t, i in numbered.items() if i}},
            "added_tokens": [{"content": "[PAD]", "id": 0}],
        },
        "unigram": {"model": {"vocab": [[token, -1.0] for token in TOKENS]}},
        "vocab.json": numbered,
    }
    if form in files:
        name = form if "." in form else "tokenizer.json"
        (tmp_path / name).write_text(json.dumps(files[form]))
    elif form != "metadata":
        (tmp_path / "vocab.txt").write_text("\n".join(TOKENS) + "\n")
    rows = np.vstack([ROWS, np.full((3, 2), np.nan)]) if form == "filled up" else ROWS
    make, save = (np.asarray, safetensors.numpy.save) if dtype == "float64" else (jnp.asarray, safetensors.flax.save)
    tensors = {"word_embeddings": rows, "decoder": rows[::-1].copy(), "position": np.ones((2, 2))}
    metadata = {"tokens": json.dumps(TOKENS)} if form == "metadata" else None
    content = save({name: make(array, dtype) for name, array in tensors.items()}, metadata)
    (tmp_path / "v.safetensors").write_bytes(content)
    matrix, found = load_vectors(tmp_path / "v.safetensors", VOCABULARY)
    assert matrix.dtype == np.float32
    assert matrix.tolist() == [[0, 0], [0, 0], [1, 2.5], [3, 4], [0.5, -0.25], [0, 0]]
    assert found.tolist() == [False, False, True, True, True, False]


def test_vectors_are_those_of_tokens(tmp_path):
    """A row for each wins; spare rows are said, and embeddings of positions are not looked at."""
    path, padded = tmp_path / "v.safetensors", np.vstack([ROWS, ROWS])
    many = {"word_embeddings": ROWS, "position_embeddings": padded, "other_embeddings": padded}
    for tensors, said in ((many, ""), ({"x": padded, "wpe": ROWS}, "'x' has 10 rows for 5 tokens: the last 5 are taken")):
        safetensors.numpy.save_file(tensors, path, {"tokens": json.dumps(TOKENS)})
        assert load_vectors(path, VOCABULARY)[0].tolist()[2:4] == [[1, 2.5], [3, 4]]
        note = vector_tensors.spare(path)
        assert said in note
        assert bool(said) == bool(note)


@pytest.mark.parametrize(
    ("tensors", "tokens", "message"),
    [
        ({"embeddings.position_embeddings": ROWS}, TOKENS, "has none"),
        ({"a": ROWS}, None, "does not say its tokens"),
        ({"a": ROWS[:3]}, TOKENS, "one tensor with a row for each of the 5 tokens of its metadata, has none"),
        ({"a": ROWS, "b": ROWS}, TOKENS, "has a, b"),
        ({"a": ROWS * np.inf}, TOKENS, "a value of 'the' is not finite"),
        ({"a": ROWS}, ["x", "y", "z", "u", "v"], "none of the 4 words of the vocabulary"),
        ({"a": ROWS}, ["x", "x", "z", "u", "v"], "has a token twice"),
        ({"a": ROWS}, {"the": 10**9}, "has no list of tokens"),
        ({"a": ROWS}, "the", "has no list of tokens"),
    ],
)
def test_bad_vectors_of_tensors(tmp_path, tensors, tokens, message):
    metadata = None if tokens is None else {"tokens": json.dumps(tokens)}
    safetensors.numpy.save_file(tensors, tmp_path / "v.safetensors", metadata)
    with pytest.raises(ValueError, match=message):
        load_vectors(tmp_path / "v.safetensors", VOCABULARY)
    (tmp_path / "v.safetensors").write_bytes(b"no tensors")
    with pytest.raises(ValueError, match="cannot be read as safetensors"):
        load_vectors(tmp_path / "v.safetensors", VOCABULARY)


def test_missing_and_truncated_vectors(tmp_path):
    with pytest.raises(ValueError, match=r"no file of word vectors at .*nowhere\.txt"):
        load_vectors(tmp_path / "nowhere.txt", VOCABULARY)
    path = tmp_path / "vectors.gz"
    path.write_bytes(gzip.compress(GLOVE.encode())[:-9])
    with pytest.raises(ValueError, match=r"vectors\.gz is damaged"):
        load_vectors(path, VOCABULARY)
