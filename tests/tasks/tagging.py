"""Evidence of the task that tells the class of each word."""

import dataclasses

import numpy as np
import pytest

from attention.data.contracts import OPEN
from attention.tasks import tagging
from attention.training import config
from tests.support.evidence import TaskEvidence
from tests.support.row import Row
from tests.support.tasks import CLASSES, UNLABELLED, facts
from tests.tasks.lm import loss

WANTED = np.array([0, 1, 2, 2, OPEN, -1], np.int32)  # the last text has two words, the class of one of which is known
ENCODED = dataclasses.replace(UNLABELLED, wanted=WANTED)
ASKED = np.array([[[1, 1, 0], [1, 0, 0], [1, 1, 0]]] * 2, bool)
KNOWN = np.array([[[1, 1, 0], [1, 0, 0], [1, 0, 0]]] * 2, bool)
PREDICTED = np.array([[[0, 1, 0], [1, 0, 0], [2, 0, 0]], [[0, 0, 0], [2, 0, 0], [2, 1, 0]]], np.int32)
RIGHT = np.array([[[1, 1, 0], [0, 0, 0], [1, 0, 0]], [[1, 0, 0], [1, 0, 0], [1, 0, 0]]], bool)
TOLD = """\
a/left b/middle  (1 of 2 members)
a/left b/left  (1 of 2 members)
c/middle  (1 of 2 members)
c/right  (1 of 2 members)
d/right a/left  (1 of 2 members)
d/right a/middle  (1 of 2 members)"""
CONFUSION = """\
confusion of words
tag \\ predicted  left  middle  right
left                2       0      0
middle              1       1      0
right               0       1      3"""

ROW = Row(
    "tagging",
    {},
    TaskEvidence(
        model={"encoder": "bigru", "encoding": "none", "dim": 8},
        answers=(),
        encoded=ENCODED,
        reads="wanted",
        loss=loss,
        weights={None: [2, 1, 1, 0]},
        outputs={
            "asked": ASKED,
            "known": KNOWN,
            "nll": np.array([[[0.5, 0.5, 0], [2.0, 0, 0], [1.0, 0, 0]]] * 2),
            "right": RIGHT,
            "predicted": PREDICTED,
        },
        scores={"accuracy": 3 / 4, "macro_f1": (1 + 2 / 3 + 2 / 3) / 3, "nll": 1.0, "count": 3},
        unscored="what is right at one place or more",
        correct=[True, False, True],
        told=TOLD,
        columns={
            "predicted(3)": ["left middle", "middle", "right left"],
            "predicted(5)": ["left left", "right", "right middle"],
            "tags": ["left middle", "right", "right _"],
        },
        details=[CONFUSION],
        lacks=(("has no class for each word", UNLABELLED),),
        errors={"tagging(beam=2)": "unknown option 'beam'"},
    ),
)


def test_classes_of_other_data_are_found_by_name():
    """Whatever their order; what is not known stays so, and a class that training had not is named."""
    other = dataclasses.replace(ENCODED, wanted=np.array([2, 1, 0, 0, OPEN, -1], np.int32))
    np.testing.assert_array_equal(tagging.adapt(other, CLASSES[::-1], facts()).wanted, WANTED)
    with pytest.raises(ValueError, match=r"tag 'lefts' was not seen in training \(nearest: 'left'\)"):
        tagging.adapt(ENCODED, ("lefts", "middle", "right"), facts())


def test_a_source_without_classes_is_one_for_language_models():
    """Said when the data are known."""
    with pytest.raises(ValueError, match=r"config\.task=tagging wants a source that names the class of each word"):
        tagging.sized(None, 9, 0)


def test_a_text_keeps_its_first_words():
    """So that it is known of which words its answers are."""
    with pytest.raises(ValueError, match=r"config.data.truncate is for config.task=.*, got 'tail' with config.task=tagging"):
        config.from_dict({"task": "tagging", "data": {"truncate": "tail"}})
