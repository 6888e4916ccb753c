"""Evidence of gradient descent."""

import numpy as np
import pytest

from tests.support.evidence import OptimizerCase, OptimizerEvidence
from tests.support.optimizers import ETA, path
from tests.support.row import Row


def sgd(gradients, w, rates, decay, momentum=0.9, nesterov=False):
    trace = np.zeros_like(w)
    for g, eta in zip(gradients, rates):
        trace = momentum * trace + g
        w = w - eta * ((momentum * trace + g if nesterov else trace) + decay * w)
    return w


ROW = Row(
    "sgd",
    {"momentum": "0.5", "nesterov": "True"},
    OptimizerEvidence(
        (
            OptimizerCase("sgd", sgd),
            OptimizerCase("sgd(momentum=0.5)", lambda *given: sgd(*given, momentum=0.5)),
            OptimizerCase("sgd(momentum=0)", lambda *given: sgd(*given, momentum=0.0)),
            OptimizerCase("sgd(nesterov=True)", lambda *given: sgd(*given, nesterov=True)),
        ),
        first=(1.89, -3.18),  # 2 - 0.1 (0.5 + 0.3 * 2) and -4 - 0.1 (-7 + 0.3 * -4)
        errors={
            "sgd(moment=0.9)": r"unknown option 'moment' \(nearest: 'momentum'\); options of sgd: momentum=0.9, nesterov=False",
            "sgd(nesterov=1)": "option 'nesterov' wants True or False, got 1",
            "sgd(momentum=True)": "option 'momentum' wants a number, got True",
            "sgd(momentum=-0.1)": r"momentum must be in \[0, 1\), got -0.1",
        },
    ),
)


def test_it_reaches_the_speed_of_its_momentum():
    """Under a constant gradient a step grows to 1 / (1 - momentum) of the first."""
    found = path("sgd(momentum=0.8)", np.ones((80, 1)), [0.0], decay=0.0)
    assert found[0, 0] == pytest.approx(-ETA)
    assert found[-1, 0] - found[-2, 0] == pytest.approx(-5 * ETA, rel=1e-4)
