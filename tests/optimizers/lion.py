"""Evidence of Lion."""

import numpy as np

from tests.support.evidence import OptimizerCase, OptimizerEvidence
from tests.support.optimizers import ETA, path
from tests.support.row import Row


def lion(gradients, w, rates, decay, b1=0.9, b2=0.99):
    m = np.zeros_like(w)
    for g, eta in zip(gradients, rates):
        w = w - eta * (np.sign(b1 * m + (1 - b1) * g) + decay * w)
        m = b2 * m + (1 - b2) * g
    return w


ROW = Row(
    "lion",
    {"b1": "0.5", "b2": "0.7"},
    OptimizerEvidence(
        (
            OptimizerCase("lion", lion),
            OptimizerCase("lion(b1=0.5, b2=0.7)", lambda *given: lion(*given, b1=0.5, b2=0.7)),
        ),
        first=(1.84, -3.78),  # the sign of the gradient
        errors={"lion(b1=1.0)": r"b1 must be in \[0, 1\), got 1"},
    ),
)


def test_every_weight_moves_by_the_learning_rate():
    found = path("lion", np.random.default_rng(0).normal(size=(5, 3, 4)) * 1e-3, np.zeros((3, 4)), decay=0.0)
    np.testing.assert_allclose(np.abs(np.diff(found, axis=0)), ETA, rtol=1e-4)
