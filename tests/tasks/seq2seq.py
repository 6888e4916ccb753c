"""Evidence of the task that writes a text from another."""

import dataclasses

import numpy as np
import pytest

from attention.data.contracts import Encoded
from attention.tasks import seq2seq
from tests.support.evidence import TaskEvidence
from tests.support.row import Row
from tests.support.tasks import UNLABELLED

TARGETS = Encoded(np.array([2, 3, 9, 4, 9, 1, 9], np.int32), np.array([0, 3, 5, 7]), np.full(3, -1, np.int32))
ENCODED = dataclasses.replace(UNLABELLED, targets=TARGETS)
WRITTEN = np.array([[[2, 3, 9, 0], [4, 9, 5, 0], [1, 9, 0, 0]], [[2, 3, 9, 0], [5, 9, 0, 0], [4, 4, 4, 4]]], np.int32)
TOLD = """\
a b
  a b  (2 of 2 members)
c
  c d  (1 of 2 members)
  d  (1 of 2 members)
d a z
  <unknown>  (1 of 2 members)
  c c c c …  (1 of 2 members)"""
ERRORS = """\
the first errors of seed 3
c
  wanted   c
  written  c d
d a z
  wanted   z
  written  <unknown>"""


def loss(logits, target, smoothing):
    """The mean over the tokens of a target of its cross entropy with what is wanted, mixed with the uniform distribution."""
    losses, right = [], True
    for row, token in zip(logits, target):
        if token:
            wanted = (1 - smoothing) * np.eye(len(row))[token] + smoothing / len(row)
            losses.append(-(wanted * (row - np.log(np.exp(row).sum()))).sum())
            right = right and row.argmax() == token
    return np.mean(losses), bool(right)


ROW = Row(
    "seq2seq",
    {},
    TaskEvidence(
        model={"encoder": "bigru", "encoding": "none", "decoder": "recurrent", "score": "additive", "dim": 8},
        answers=("a b", "c", "z"),
        encoded=ENCODED,
        reads="targets",
        loss=loss,
        weights={None: [3, 2, 2, 0]},
        outputs={
            "tokens": WRITTEN,
            "log_p": np.array([[-1.0, -2.0, -0.5], [-1.0, -1.0, -1.0]]),
            "right": np.array([[3, 1, 2], [3, 1, 0]]),
        },
        scores={"exact_match": 1 / 3, "token_accuracy": 6 / 7, "nll": 3.5 / 7, "count": 3},  # an unknown is never matched
        unscored="one target for each of 3 sources, got none",
        correct=[True, False, False],
        told=TOLD,
        columns={
            "written(3)": ["a b", "c d", "<unknown>"],
            "written(5)": ["a b", "d", "c c c c …"],
            "target": ["a b", "c", "z"],
        },
        details=[ERRORS],
        lacks=(
            ("wants a text to write for every text", UNLABELLED),
            ("has classes and no texts to write", dataclasses.replace(UNLABELLED, labels=np.array([0, 1, 0], np.int32))),
        ),
        errors={"seq2seq(beam=2)": "unknown option 'beam'"},
    ),
)


def test_what_is_cut_off_is_no_match():
    assert seq2seq.matches(WRITTEN[0, :, :2], TARGETS).tolist() == [False, True, False]


def test_a_score_wants_a_target_for_each_source():
    outputs = {name: array[0] for name, array in ROW.evidence.outputs.items()}
    with pytest.raises(ValueError, match="one target for each of 2 sources, got 3"):
        seq2seq.scores({name: array[:2] for name, array in outputs.items()}, ENCODED)
