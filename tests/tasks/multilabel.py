"""Evidence of any number of labels for a text."""

import dataclasses

import numpy as np
import pytest
from scipy import special
from sklearn import metrics

from attention import specs
from attention.tasks import Examples, multilabel
from tests.support.evidence import TaskEvidence
from tests.support.row import Row
from tests.support.tasks import UNLABELLED, facts

LABELS = np.array([[0, 0, 1], [0, 0, 0], [1, 1, 0]], np.int8)
ENCODED = dataclasses.replace(UNLABELLED, labels=LABELS)
SHARES = np.array(
    [[[0.1, 0.2, 0.9], [0.3, 0.6, 0.1], [0.8, 0.4, 0.6]], [[0.2, 0.6, 0.7], [0.1, 0.2, 0.3], [0.9, 0.7, 0.1]]],
)
TOLD = """\
a b
  right 0.8000, 1 of 2 members agree
c
  no label above 0.5, the likeliest is middle 0.4000, 1 of 2 members agree
d a z
  left 0.8500  middle 0.5500, 1 of 2 members agree"""
DETAILS = """\
each label, summed over 2 members
label         F1  texts  told  both
left    100.00 %      2     2     2
middle   40.00 %      2     3     1
right    80.00 %      2     3     2"""


def loss(logits, labels, smoothing):
    """The mean binary cross entropy, of what is wanted mixed with one half."""
    p, wanted = 1 / (1 + np.exp(-logits)), (1 - smoothing) * labels + smoothing / 2
    return np.mean(-wanted * np.log(p) - (1 - wanted) * np.log1p(-p)), bool(((p > 0.5) == labels).all())


ROW = Row(
    "multilabel",
    {},
    TaskEvidence(
        model={"encoder": "embeddings", "pooling": "mean", "dim": 8},
        answers=(("right",), (), ("middle", "left")),
        encoded=ENCODED,
        reads="labels",
        loss=loss,
        weights={None: [1, 1, 1, 0]},
        outputs={"logits": special.logit(SHARES)},
        scores={
            "micro_f1": 4 / 7,  # two of four told are right, and there are three
            "macro_f1": (1 + 0 + 2 / 3) / 3,
            "subset_accuracy": 1 / 3,
            "nll": -np.log([0.9, 0.8, 0.9, 0.7, 0.4, 0.9, 0.8, 0.4, 0.4]).mean(),
            "count": 3,
        },
        unscored="example 0 has no labels",
        correct=[True, False, False],
        told=TOLD,
        columns={
            "predicted": [("right",), (), ("left", "middle")],
            "p(left)": [0.15, 0.2, 0.85],
            "p(middle)": [0.4, 0.4, 0.55],
            "p(right)": [0.8, 0.2, 0.35],
            "labels": [("right",), (), ("left", "middle")],
        },
        details=[DETAILS],
        lacks=(
            ("wants labels for every text", UNLABELLED),
            ("has classes and no sets of labels", dataclasses.replace(UNLABELLED, labels=np.array([0, 1, 0], np.int32))),
            ("has numbers and no sets of labels", dataclasses.replace(UNLABELLED, labels=np.array([0.0, 1.0, 0.5]))),
            ("has texts to write and no sets of labels", dataclasses.replace(UNLABELLED, targets=UNLABELLED)),
        ),
        share="subset_accuracy",
        sure=lambda labels: 2.0 * labels - 1.0,
        errors={"multilabel(threshold=0.3)": "unknown option 'threshold'"},
    ),
)


@pytest.mark.parametrize("seed", range(5))
def test_scores_are_those_of_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    logits, labels = rng.normal(0, 2, (12, 4)), rng.integers(0, 2, (12, 4)).astype(np.int8)
    logits[:, 3], labels[:, 3] = -9.0, 0  # a label that never occurs
    encoded = dataclasses.replace(UNLABELLED, offsets=np.arange(13), flat=np.full(12, 2, np.int32), labels=labels)
    found, told = multilabel.scores({"logits": logits}, encoded), logits > 0
    assert found["micro_f1"] == pytest.approx(metrics.f1_score(labels, told, average="micro"))
    assert found["macro_f1"] == pytest.approx(metrics.f1_score(labels, told, average="macro", zero_division=np.nan))
    assert found["subset_accuracy"] == pytest.approx(metrics.accuracy_score(labels, told))
    each = [metrics.log_loss(labels[:, c], special.expit(logits[:, c]), labels=[0, 1]) for c in range(4)]
    assert found["nll"] == pytest.approx(np.mean(each))


def test_what_is_not_finite_tells_nothing():
    logits = ROW.evidence.outputs["logits"][0].copy()
    logits[1] = [np.nan, -1.0, -1.0]  # of the text without a label
    found = multilabel.scores({"logits": logits}, ENCODED)
    assert found["subset_accuracy"] == pytest.approx(1 / 3)
    assert np.isnan(found["nll"])
    assert not multilabel.predictions({"logits": logits}, ENCODED)["correct"][1]


def test_nothing_told_and_nothing_right():
    empty = dataclasses.replace(ENCODED, labels=np.zeros((3, 3), np.int8))
    found = multilabel.scores({"logits": np.full((3, 3), -1.0)}, empty)
    assert (found["micro_f1"], found["macro_f1"], found["subset_accuracy"]) == (0.0, 0.0, 1.0)


def test_labels_of_other_data_are_found_by_name():
    other = dataclasses.replace(ENCODED, labels=np.array([[1, 0, 0], [0, 0, 1], [0, 0, 0]], np.int8))
    found = multilabel.adapt(other, ("right", "never", "left"), facts())
    assert found.labels.tolist() == [[0, 0, 1], [1, 0, 0], [0, 0, 0]]
    with pytest.raises(ValueError, match=r"label 'never' was not seen in training; classes of the run: left, middle, right"):
        multilabel.adapt(dataclasses.replace(other, labels=np.ones((3, 3), np.int8)), ("right", "never", "left"), facts())
    with pytest.raises(ValueError, match="the split has classes and no sets of labels"):
        multilabel.adapt(dataclasses.replace(UNLABELLED, labels=np.zeros(3, np.int32)), ("left",), facts())


def test_of_many_labels_the_most_frequent_are_shown():
    names = tuple(f"label {number}" for number in range(30))
    labels = np.tri(3, 30, 26, np.int8)
    encoded = dataclasses.replace(ENCODED, labels=labels)
    examples, own = Examples(["x"] * 3, encoded), facts()._replace(classes=names)
    [said] = multilabel.details({"logits": np.ones((1, 3, 30))}, examples, own)
    lines = said.splitlines()
    assert lines[0] == "each label, the 20 most frequent of 30"
    assert len(lines) == 22
    assert lines[2].split() == ["label", "0", "100.00", "%", "3", "3", "3"]


def test_what_needs_one_class_for_a_text_is_not_there():
    assert specs.build("task", "multilabel").class_weights is None
