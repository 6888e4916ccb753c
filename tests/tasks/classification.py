"""Evidence of classification."""

import dataclasses
import math

import numpy as np
import pytest

from attention.tasks import classification
from tests.support.evidence import TaskEvidence
from tests.support.row import Row
from tests.support.tasks import UNLABELLED, facts

LABELS = np.array([2, 0, 1], np.int32)
ENCODED = dataclasses.replace(UNLABELLED, labels=LABELS)
TOLD = """\
a b
  right, 2 of 2 members agree
  right 0.6000  middle 0.2200  left 0.1800
c
  middle, 1 of 2 members agree
  middle 0.3750  left 0.3500  right 0.2750
d a z
  middle, 1 of 2 members agree
  middle 0.5800  left 0.3600  right 0.0600"""
CONFUSION = """\
confusion, summed over 2 members
label \\ predicted  left  middle  right
left                  1       1      0
middle                1       1      0
right                 0       0      2"""


def loss(logits, label, smoothing):
    """Cross entropy with what is wanted mixed with the uniform distribution."""
    log_p = logits - np.log(np.exp(logits).sum())
    wanted = (1 - smoothing) * np.eye(len(logits))[label] + smoothing / len(logits)
    return -(wanted * log_p).sum(), bool(logits.argmax() == label)


ROW = Row(
    "classification",
    {},
    TaskEvidence(
        model={"encoder": "embeddings", "pooling": "mean", "dim": 8},
        answers=("right", "left", "middle"),
        encoded=ENCODED,
        reads="labels",
        loss=loss,
        weights={None: [1, 1, 1, 0], (1.0, 2.0, 4.0): [4, 1, 2, 0]},
        outputs={
            "logits": np.log(
                [
                    [[0.1, 0.2, 0.7], [0.5, 0.25, 0.25], [0.62, 0.28, 0.1]],
                    [[0.26, 0.24, 0.5], [0.2, 0.5, 0.3], [0.1, 0.88, 0.02]],
                ]
            )
        },
        scores={
            "accuracy": 2 / 3,
            "macro_f1": (2 / 3 + 0 + 1) / 3,  # left: one right and one wrong; middle: never; right: always
            "nll": -(math.log(0.7) + math.log(0.5) + math.log(0.28)) / 3,
            "ece": (0.3 + 0.5 + 0.62) / 3,
            "count": 3,
        },
        unscored="example 0 has no label",
        correct=[True, True, False],
        told=TOLD,
        columns={
            "predicted": ["right", "middle", "middle"],
            "p(left)": [0.18, 0.35, 0.36],
            "p(middle)": [0.22, 0.375, 0.58],
            "p(right)": [0.6, 0.275, 0.06],
            "label": ["right", "left", "middle"],
        },
        details=[CONFUSION],
        lacks=(
            ("wants a label for every text", UNLABELLED),
            ("wants a label for every text", dataclasses.replace(ENCODED, labels=np.array([2, -1, 1], np.int32))),
            ("has texts to write and no classes", dataclasses.replace(UNLABELLED, targets=UNLABELLED)),
        ),
        errors={"classification(classes=2)": "unknown option 'classes'"},
    ),
)


def test_labels_of_other_data_are_found_by_name():
    found = classification.adapt(dataclasses.replace(ENCODED, labels=np.array([0, -1, 1])), ("middle", "left"), facts())
    assert found.labels.tolist() == [1, -1, 0]
    with pytest.raises(
        ValueError, match=r"label 'midle' was not seen in training \(nearest: 'middle'\); classes of the run: left, middle"
    ):
        classification.adapt(ENCODED, ("left", "midle", "right"), facts())
