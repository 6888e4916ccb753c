"""Evidence of ADOPT."""

import numpy as np

from tests.support.evidence import OptimizerCase, OptimizerEvidence
from tests.support.optimizers import path
from tests.support.row import Row


def adopt(gradients, w, rates, decay, b1=0.9, b2=0.9999, eps=1e-6, clip=True):
    m, v = np.zeros_like(w), gradients[0] ** 2
    w = w - rates[0] * decay * w  # decay is decoupled, and the first gradient begins the second moment
    for t, (g, eta) in enumerate(zip(gradients[1:], rates[1:]), start=1):
        u = g / np.maximum(np.sqrt(v), eps)
        m = b1 * m + (1 - b1) * (np.clip(u, -(t**0.25), t**0.25) if clip else u)
        v = b2 * v + (1 - b2) * g * g
        w = w - eta * (m + decay * w)
    return w


ROW = Row(
    "adopt",
    {"b1": "0.5", "b2": "0.9", "eps": "0.5", "clip": "False"},
    OptimizerEvidence(
        (
            OptimizerCase("adopt", adopt),
            OptimizerCase(
                "adopt(b1=0.5, b2=0.9, eps=0.5, clip=False)",
                lambda *given: adopt(*given, b1=0.5, b2=0.9, eps=0.5, clip=False),
            ),
        ),
        first=(1.94, -3.88),  # decay alone: 0.97 of the weights
        errors={"adopt(b2=1)": r"b2 must be in \[0, 1\), got 1", "adopt(eps=-1)": "eps must be above 0, got -1"},
    ),
)


def test_it_waits_and_is_blind_to_the_scale_of_gradients():
    gradients = np.random.default_rng(0).normal(size=(5, 3))
    found = path("adopt", gradients, np.zeros(3), decay=0.0)
    assert not found[0].any()
    np.testing.assert_allclose(path("adopt", 100 * gradients, np.zeros(3), decay=0.0)[-1], found[-1], rtol=1e-5)
