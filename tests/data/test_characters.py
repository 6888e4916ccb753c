"""Words of texts by their characters, and those that train has not."""

import numpy as np
import pytest

from attention import specs
from attention.data import dataset, encode
from attention.data.batches import gather, inputs
from attention.data.characters import BEGIN, END, ROWS, spelled

TRAIN = "text\ttags\nThe dog barks\tD N V\nA dog\tD N\n"
TEST = "text\ttags\nThe cat barks loudly\tD N V _\nThe  dog\tD N\n"


@pytest.fixture
def source(tmp_path):
    for name, content in {"train": TRAIN, "test": TEST}.items():
        (tmp_path / f"{name}.tsv").write_text(content)
    there = {name: f"'{tmp_path / name}.tsv'" for name in ("train", "test")}
    return f"tagged(train={there['train']}, validation={there['train']}, test={there['test']})"


def test_characters_are_code_points_between_two_marks():
    """Of a longer word the first and the last are kept; the letters of an alphabet are told apart, whichever it is."""
    assert spelled(["ab", "c"], 5).tolist() == [[BEGIN, 97, 98, END, 0], [BEGIN, 99, END, 0, 0]]
    assert spelled(["abcdefg"], 5).tolist() == [[BEGIN, 97, 98, 103, END]]
    for first in (0x41, 0x410, 0x5D0, 0x905, 0xAC00, 0x1F600):
        letters = "".join(map(chr, range(first, first + 60)))
        assert len(set(spelled([letters], 62)[0])) == 62
    folded = spelled([chr(ROWS), "\x01"], 3)
    assert folded.tolist() == [[BEGIN, END + 1, END], [BEGIN, END + 1, END]]  # which are no marks


@pytest.mark.parametrize(("truncate", "kept"), [("head", [0, 1]), ("tail", [2, 3]), ("middle", [0, 3])])
def test_each_token_has_the_characters_of_its_word(source, truncate, kept):
    """Whatever of a text is kept."""
    words = ["The", "cat", "barks", "loudly"]
    given = {"max_length": 2, "truncate": truncate, "seed": 0, "characters": 8}
    data = dataset.load(source, "words(pattern='whitespace')", **given)
    test = data.splits["test"]
    np.testing.assert_array_equal(test.words, [*kept, 0, 1])
    np.testing.assert_array_equal(test.word_counts, [4, 2])
    found = gather(test, np.array([0, 1, -1]), 8)["characters"]
    wanted = spelled([*words, "dog"], 8)
    np.testing.assert_array_equal(found[0, :2], wanted[kept])
    np.testing.assert_array_equal(found[1, :2], wanted[[0, 4]])
    assert not found[:2, 2:].any()
    assert not found[2].any()
    some = gather(test.only(np.array([False, True])), np.array([0]), 8)
    np.testing.assert_array_equal(some["characters"][0], found[1])
    assert "characters" in inputs(some)


def test_pieces_have_the_characters_of_the_whole_word(source):
    data = dataset.load(source, "characters", max_length=32, truncate="head", seed=0, characters=8)
    found = gather(data.splits["train"], np.array([1]), 8)["characters"][0]
    np.testing.assert_array_equal(found[:6], spelled(["A", "A", *["dog"] * 4], 8))


def test_unseen_words_are_spelled_as_none_of_train(source):
    """Case counts, and so does a word whose class is not known; in train nothing is said."""
    data = dataset.load(source, "words(pattern='whitespace')", max_length=8, truncate="head", seed=0)
    assert data.splits["train"].unseen is None
    assert data.splits["train"].spelling is None
    unseen = data.splits["test"].unseen
    assert unseen is not None
    assert unseen.tolist() == [False, True, False, True, False, False]
    assert {name: data.statistics["test"][name] for name in ("words", "unseen_words")} == {"words": 6, "unseen_words": 2}
    assert "unseen_words" not in data.statistics["train"]


def test_texts_alone(source):
    """As a run encodes what it is asked about: which words are new is not known then."""
    data = dataset.load(source, "words(pattern='whitespace')", max_length=8, truncate="head", seed=0)
    given = {"max_length": 8, "truncate": "head", "wanted": ["_ _"], "classes": data.classes, "characters": 8}
    found = encode.encode_texts(data.tokenizer, data.tokenizer_state, ["The foxes"], **given)
    assert found.classes == ("D", "N", "V")
    assert found.unseen is None
    assert found.spelling is not None
    np.testing.assert_array_equal(found.spelling.characters[found.spelling.rows], spelled(["The", "foxes"], 8))
    np.testing.assert_array_equal(found.words, [0, 1])


def test_words_without_classes_have_no_characters():
    """Of what is wanted as tokens, nothing more is kept."""
    found = encode.encode_texts(*_letters(), ["a b"], max_length=8, truncate="head", wanted=["_ a"], characters=8)
    assert found.words is None
    assert found.spelling is None


def _letters():
    record = specs.build("tokenizer", "words(pattern='whitespace')")
    return record, record.train(["a b"])
