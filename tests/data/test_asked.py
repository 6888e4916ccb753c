"""Numbers that do not repeat, and what trivial rules say at places of texts."""

import functools
import os
from collections import Counter

import numpy as np
import pytest

from attention import specs, tasks
from attention.data import contracts, dataset, encode, places, rules
from attention.data.contracts import Split
from attention.data.sources import _asked
from attention.data.sources._lengths import Draws
from attention.tasks import _places


@pytest.mark.parametrize("bound", [4, 50])
def test_choices_and_orders_are_as_likely(bound):
    """Every row of three of four numbers, and every number among two of fifty."""
    width = 3 if bound == 4 else 2
    found = Counter(map(tuple, _asked.distinct(Draws(0, 7), bound, 24_000, width).tolist()))
    assert all(len({*row}) == width and 0 <= min(row) <= max(row) < bound for row in found)
    if bound == 4:
        assert len(found) == 24
        assert all(abs(count - 1000) < 5 * 1000**0.5 for count in found.values())
    else:
        seen = np.bincount(np.array([*found.elements()]).ravel(), minlength=bound)
        assert (np.abs(seen - 960) < 5 * 960**0.5).all()


def test_many_of_few_are_all_in_another_order():
    found = _asked.distinct(Draws(0, 7), 40, 3, 36)
    assert found.shape == (3, 36)
    assert all(len({*row}) == 36 and max(row) < 40 for row in found.tolist())


def test_lines_end_where_texts_do():
    tokens = np.array([[0, 1, -1], [1, 1, 0]])
    assert _asked.lines(tokens, ("a", "b"), (2, 3)) == ["a b", "b b a"]
    assert _asked.lines(tokens, ("a", "b"), (3, 3)) == ["a b _", "b b a"]


def test_rules_are_scored_where_something_is_asked():
    """Three places by hand: "b" is wanted most often, one text has at a place what is wanted there, and one just before it."""
    split = Split(["a b a", "c b"], None, wanted=["_ b b", "a _"])
    before = rules.at_places("before", lambda words: ["_", *words[:-1]])
    known = (rules.MOST_WANTED, rules.SAME_WORD, before)
    learned = rules.fitted(known, split)
    assert learned == {"majority": {"b": 1}, "the_word_itself": {}, "before": {}}
    third = pytest.approx(1 / 3)
    assert rules.scores(known, learned, split) == {
        "majority": pytest.approx(2 / 3),
        "the_word_itself": third,
        "before": third,
    }
    assert rules.scores(known, {"before": {}}, split) == {"before": third}
    assert rules.scores(known, learned, split._replace(wanted=["_ _ _", "_ _"])) == {}


def test_a_wanted_word_that_train_has_not_is_named():
    """Or else any other unknown word would answer it."""
    tokenizer = specs.build("tokenizer", "words(pattern='whitespace')")
    state = tokenizer.train(["a b"])
    assert places.placed(tokenizer, state, ["a b"], ["_ a"], (), "test")[0].wanted[0] == contracts.ELSEWHERE
    with pytest.raises(ValueError, match="test: 'c' is wanted, which the tokenizer of train does not know"):
        places.placed(tokenizer, state, ["a b"], ["_ c"], (), "test")


LOADED = {"max_length": 18, "truncate": "head", "seed": 0, "windows": "stream"}


def test_no_answer_is_cut_off(tmp_path):
    """Where tokens are wanted; what is longer by its nature is kept whole."""
    source = "lm_sort(min_length=8, max_length=8, symbols=2, train=30, validation=5, test=5, lengths=9)"
    load = functools.partial(dataset.load, source, "words(pattern='whitespace')", cache_dir=tmp_path)
    found = load(**LOADED).splits
    assert (found["train"].lengths.max(), found["lengths"].lengths.max()) == (18, 76)
    cut = r"train row 0 \(counted from 0\) has 18 tokens, and config\.data\.max_length=17 cuts off some that are to be told; "
    with pytest.raises(ValueError, match=f"{cut}the longest text wants 18"):
        load(**{**LOADED, "max_length": 17})
    asked_early = Split(["a b c"], None, wanted=["b _ _"])
    tokenizer = specs.build("tokenizer", "words(pattern='whitespace')")
    read = {"max_length": 2, "truncate": "head", "wanted": asked_early.wanted}
    assert len(encode.encode_texts(tokenizer, tokenizer.train(asked_early.texts), asked_early.texts, **read).flat) == 2


def test_nothing_is_known_of_what_is_cut_off():
    """That is said where it is scored; a score on new texts is left out where it is known of none."""
    wanted, truncated = np.array([contracts.OPEN] * 4, np.int32), np.array([True, False])
    texts = contracts.Encoded(np.arange(4), np.array([0, 3, 4]), np.array([-1, -1]), wanted=wanted, truncated=truncated)
    with pytest.raises(ValueError, match=r"and none is known: config\.data\.max_length=3 cuts off 1 of 2 texts"):
        _places.check_known(texts)
    task = specs.build("task", "tagging")
    assert task.lacks(texts) == "has no class for each word: config.data.max_length=3 cuts off 1 of 2 texts"
    assert tasks.clean_scores(task, {}, texts, np.array([True, False])) is None


def test_the_most_frequent_tag_by_hand():
    """Of equal ones the tag that comes first, though another is more frequent; words as they are written; others are nouns."""
    train = Split(["a B a", "c", "d", "e f"], None, wanted=["X VERB NOUN", "NOUN", "_", "NOUN X"])
    learned = rules.MOST_FREQUENT_TAG.fit(train)
    assert learned == {" NOUN": 3, "B VERB": 1, "a X": 1, "c NOUN": 1, "e NOUN": 1, "f X": 1}
    assert rules.MOST_FREQUENT_TAG.answer(learned, ["a B b", "d f"]) == ["X VERB NOUN", "NOUN X"]
    asked = Split(["a B b", "d f"], None, wanted=["X VERB VERB", "_ NOUN"])
    known = (rules.MOST_FREQUENT_TAG,)
    assert rules.scores(known, {"most_frequent_tag": learned}, asked) == {"most_frequent_tag": 0.5}


@pytest.mark.skipif("ATTENTION_DATA_DIR" not in os.environ, reason="needs ATTENTION_DATA_DIR")
def test_a_known_score_of_the_most_frequent_tag():
    """English LinES: 88.4 on validation and 88.1 on test, with NOUN for words that train has not."""
    source = f"tagged(path='{os.environ['ATTENTION_DATA_DIR']}/ud_english_lines')"
    corpus, rule = specs.build("source", source).load(0), rules.MOST_FREQUENT_TAG
    learned = {rule.name: rule.fit(corpus.splits["train"])}
    assert learned[rule.name][" NOUN"] == 11444
    for name, wanted in (("validation", 0.884), ("test", 0.881)):
        assert rules.scores((rule,), learned, corpus.splits[name])[rule.name] == pytest.approx(wanted, abs=0.0005)
