"""Evidence of the linear rival."""

import itertools
import os
import re
from pathlib import Path

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.utils import murmurhash3_32

from attention import specs
from attention.metrics import softmax
from attention.rivals import _tokens, linear
from attention.training import config, recipe
from tests.support.evidence import RivalEvidence
from tests.support.rivals import CLASSES, LESSONS, split, texts
from tests.support.row import Row

SIZE = 2**16
TRAIN, VALIDATION, TEST = (texts(items) for items in LESSONS["label"][:3])


def words(text):
    """In the texts of ``tests.support.rivals``."""
    found = re.findall(r"[a-z0-9]+|[^a-z0-9\s]", text.lower())
    return [*found, *(f"{one} {other}" for one, other in itertools.pairwise(found))]


def rows(texts):
    """x over all columns, from the formula."""
    columns = lambda text: np.array([abs(murmurhash3_32(word, seed=0)) % SIZE for word in words(text)], int)
    among = sum((np.bincount(columns(text), minlength=SIZE) > 0).astype(float) for text in TRAIN.split.texts)
    for text in texts:
        n = np.bincount(columns(text), minlength=SIZE)
        x = (
            np.where(n > 0, 1 + np.log(np.maximum(n, 1)), 0)
            * (1 + np.log((1 + len(TRAIN.split.texts)) / (1 + among)))
            * (among > 0)
        )
        yield x / max(np.sqrt((x**2).sum()), 1e-300)


def reference(arrays, train, asked):
    weights = np.zeros((SIZE, CLASSES))
    weights[arrays["columns"], 1:] = arrays["weights"]
    logits = [x @ weights + np.append(0, arrays["intercept"]) for x in rows(asked.split.texts)]
    exponentials = np.exp(logits)
    return {"probabilities": exponentials / exponentials.sum(axis=1, keepdims=True)}


ROW = Row(
    f"linear(size={SIZE})",
    {"pairs": "False", "size": "64", "texts": "9"},
    RivalEvidence(
        reference,
        errors={
            "linear(size=0)": r"size must be in \[1, 16777216\], got 0",
            "linear(size=16777217)": r"size must be in \[1, 16777216\], got 16777217",
            "linear(texts=0)": r"texts must be in \[1, 2147483648\], got 0",
            "linear(pair=False)": r"unknown option 'pair' \(nearest: 'pairs'\)",
        },
    ),
)


def test_it_is_the_pipeline_of_scikit_learn():
    """With a vocabulary instead of hashes, each strength by itself, chosen in plain Python."""
    arrays = specs.build("rival", "linear(size=16777216)").fit(TRAIN, VALIDATION)
    text_rows = TfidfVectorizer(analyzer=words, sublinear_tf=True).fit(TRAIN.split.texts)
    train, validation, test = (text_rows.transform(each.split.texts) for each in (TRAIN, VALIDATION, TEST))
    found = []
    for strength in linear.STRENGTHS:
        model = LogisticRegression(C=strength, tol=1e-9, max_iter=10_000).fit(train, TRAIN.split.labels)
        said = model.predict_proba(validation)
        likely = np.log(said[np.arange(len(said)), VALIDATION.split.labels]).mean()
        found.append((model.score(validation, VALIDATION.split.labels), likely, strength, model.predict_proba(test)))
    best = max(found, key=lambda each: each[:2])
    assert best[2] == arrays["strength"]
    logits = specs.build("rival", "linear(size=16777216)").answer(arrays, TEST)["logits"]
    np.testing.assert_allclose(softmax(logits), best[3], atol=2e-3)  # both stop where the gradient is small


def test_the_weights_are_a_minimum(monkeypatch):
    """The gradient of the objective in float64, over C and the number of texts, is as small as it was asked to be."""
    monkeypatch.setattr(linear, "STRENGTHS", (4.0,))
    arrays = specs.build("rival", ROW.spec).fit(TRAIN, VALIDATION)
    x, wanted = np.array(list(rows(TRAIN.split.texts))), np.eye(CLASSES)[TRAIN.split.labels]
    error = reference(arrays, TRAIN, TRAIN)["probabilities"] - wanted
    weights = np.zeros((SIZE, CLASSES))
    weights[arrays["columns"], 1:] = arrays["weights"]
    weights -= weights.mean(axis=1, keepdims=True)  # of all that say the same the smallest
    gradient = (weights / 4.0 + x.T @ error) / len(x)
    assert np.abs(gradient).max() < 2 * linear.TOLERANCE
    assert np.abs(error.mean(axis=0)).max() < 2 * linear.TOLERANCE  # of the intercept, which has no penalty
    assert np.abs(weights / 4.0 / len(x)).max() > 20 * linear.TOLERANCE


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("It's 3 o'clock, 你好!", ["it", "'", "s", "3", "o", "'", "clock", ",", "你", "好", "!"]),
        ("snake_case ÀÉ e\u0301a", ["snake_case", "àé", "e\u0301a"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("ที่นี่", ["ที่", "นี่"]),
        ("日本語カナabc", [*"日本語カナ", "abc"]),
        ("한국어 텍스트", ["한국어", "텍스트"]),
        ("[MAX 2 9 ]", ["[", "max", "2", "9", "]"]),
        ("🙂🙂", ["🙂", "🙂"]),
        (" \t\n", []),
    ],
)
def test_what_a_word_is(text, wanted):
    assert _tokens.tokens(text) == wanted
    assert _tokens.with_pairs(text) == [*wanted, *(f"{one} {other}" for one, other in itertools.pairwise(wanted))]


def test_a_fit_that_does_not_end_by_itself_says_so(monkeypatch):
    monkeypatch.setattr(linear, "ITERATIONS", 1)
    rival = specs.build("rival", ROW.spec)
    assert rival.facts(rival.fit(TRAIN, VALIDATION))["converged"] is False


def test_a_class_that_train_has_not_is_given_one_nth():
    train = texts(split(100, 3, (0, 2)))
    arrays = specs.build("rival", ROW.spec).fit(train, VALIDATION)
    found = softmax(specs.build("rival", ROW.spec).answer(arrays, TEST)["logits"])
    np.testing.assert_allclose(found[:, 1] / (found[:, 0] + found[:, 2]), 0.01, rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "value"),
    [("rarity", 0), ("rarity", np.inf), ("count", 0), ("strength", np.nan), ("strength", -1), ("present", 2)],
)
def test_numbers_that_no_fit_has(name, value):
    rival = specs.build("rival", ROW.spec)
    arrays = rival.fit(TRAIN, VALIDATION)
    with pytest.raises(ValueError, match="its arrays are not what fitting makes of 3 classes"):
        rival.answer({**arrays, name: np.full_like(arrays[name], value)}, TEST)


def test_a_task_of_another_kind_is_refused():
    with pytest.raises(
        ValueError, match=r"config.rival=linear is for config.task=classification, got seq2seq; give none, or auto for its own"
    ):
        recipe.experiment(config.from_dict({"task": "seq2seq", "rival": "linear"}))
    with pytest.raises(ValueError, match=r"config.rival: rival 'linear\(size=0\)': size must be in"):
        recipe.experiment(config.from_dict({"rival": "linear(size=0)"}))


@pytest.mark.skipif("ATTENTION_DATA_DIR" not in os.environ, reason="needs ATTENTION_DATA_DIR")
def test_a_known_score():
    """TREC-6: 88.8 with C chosen on held-out questions, by scikit-learn's pipeline."""
    folder = Path(os.environ["ATTENTION_DATA_DIR"]) / "trec6"
    read = lambda name: [line.split("\t") for line in (folder / f"{name}.tsv").read_text().split("\n")[1:-1]]
    of = lambda lines: texts([(text, int(label)) for text, label in lines], classes=6)
    train, test = read("train"), of(read("test"))
    rival = specs.build("rival", "linear")
    arrays = rival.fit(of([line for place, line in enumerate(train) if place % 10]), of(train[::10]))
    assert np.mean(rival.answer(arrays, test)["logits"].argmax(axis=1) == test.split.labels) > 0.88
