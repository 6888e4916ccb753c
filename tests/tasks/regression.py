"""Evidence of a number for each text."""

import dataclasses
import math

import numpy as np
import pytest
from scipy import stats

from attention.data.batches import gather
from attention.tasks import regression
from tests.support.evidence import TaskEvidence
from tests.support.row import Row
from tests.support.tasks import SCALE, UNLABELLED, facts

NUMBERS = np.array([3.0, 1.0, 2.5])
ENCODED = dataclasses.replace(UNLABELLED, labels=NUMBERS, scale=SCALE)
TOLD = """\
a b
  2.75, members 2.5 to 3
c
  1.5, members 1.5 to 1.5
d a z
  2.5, members 2 to 3"""
ERRORS = """\
the largest errors
      number     predicted  text
           1           1.5  c
           3          2.75  a b
         2.5           2.5  d a z"""


def loss(logits, number, smoothing):
    """The squared error, of numbers in standard deviations from the mean."""
    return (logits[0] - number) ** 2, math.nan


ROW = Row(
    "regression",
    {},
    TaskEvidence(
        model={"encoder": "embeddings", "pooling": "mean", "dim": 8, "num_classes": 1},
        answers=("3.0", "1", "25e-1"),
        encoded=ENCODED,
        reads="labels",
        loss=loss,
        weights={None: [1, 1, 1, 0]},
        outputs={"standardised": np.array([[1.0, -1.0, 2.0], [2.0, -1.0, 0.0]])},
        scores={
            "mse": 0.25,  # 2.5, 1.5 and 3 are told
            "mae": 0.5,
            "pearson": (4 / 3) / math.sqrt((7 / 6) * (13 / 6)),
            "spearman": 1 - 6 * 2 / (3 * 8),
            "count": 3,
        },
        unscored="example 0 has no number",
        correct=None,
        told=TOLD,
        columns={"predicted": [2.75, 1.5, 2.5], "number": [3.0, 1.0, 2.5]},
        details=[ERRORS],
        lacks=(
            ("wants a number for every text", UNLABELLED),
            ("has classes and no numbers", dataclasses.replace(UNLABELLED, labels=np.array([0, 1, 0], np.int32))),
            ("has sets of labels and no numbers", dataclasses.replace(UNLABELLED, labels=np.zeros((3, 2), np.int8))),
        ),
        sure=lambda number: np.zeros(1),
        errors={"regression(loss='mae')": "unknown option 'loss'"},
    ),
)


@pytest.mark.parametrize("seed", range(5))
def test_correlations_are_those_of_scipy(seed):
    rng = np.random.default_rng(seed)
    right, told = rng.integers(0, 6, 40).astype(float), rng.integers(-3, 3, 40).astype(float)  # with equal ones
    encoded = dataclasses.replace(ENCODED, offsets=np.arange(41), flat=np.full(40, 2, np.int32), labels=right)
    found = regression.scores({"standardised": told}, encoded)
    assert found["pearson"] == pytest.approx(stats.pearsonr(told, right).statistic)
    assert found["spearman"] == pytest.approx(stats.spearmanr(told, right).statistic)


def test_a_correlation_with_a_constant_is_none():
    found = regression.scores({"standardised": np.zeros(3)}, ENCODED)
    assert np.isnan([found["pearson"], found["spearman"]]).all()
    assert found["mse"] == pytest.approx(np.mean((NUMBERS - SCALE.mean) ** 2))
    assert np.isnan(list(regression.scores({"standardised": np.array([1.0, np.nan, 2.0])}, ENCODED).values())[:4]).all()


def test_batches_hold_numbers_of_one_size():
    """Large ones lose nothing: they are made alike in float64."""
    far = dataclasses.replace(ENCODED, labels=NUMBERS + 1e9, scale=SCALE._replace(mean=SCALE.mean + 1e9))
    for encoded in (ENCODED, far):
        batch = gather(encoded, np.array([2, 0, -1]), 8)
        assert batch["labels"].dtype == np.float32
        assert batch["labels"].tolist() == [1.0, 2.0, 0.0]
    assert gather(UNLABELLED, np.array([0]), 8)["labels"].tolist() == [-1]


def test_other_data_are_scored_in_the_units_of_the_run():
    other = dataclasses.replace(ENCODED, scale=SCALE._replace(mean=0.0, deviation=1.0))
    assert regression.adapt(other, (), facts()).scale == SCALE
    with pytest.raises(ValueError, match="the split has classes and no numbers"):
        regression.adapt(dataclasses.replace(UNLABELLED, labels=np.zeros(3, np.int32)), ("a",), facts())


def test_what_is_served_is_in_the_units_of_the_data():
    found = regression.served({"standardised": np.float32([1.0, -2.0])}, facts())
    assert found["number"].tolist() == [2.5, 1.0]
