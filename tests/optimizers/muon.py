"""Evidence of Muon."""

import math

import numpy as np

from tests.support.evidence import OptimizerCase, OptimizerEvidence
from tests.support.optimizers import ETA, path
from tests.support.row import Row


def _iterated(u, iterations):
    """Jordan's Newton-Schulz iteration."""
    x = u.T if u.shape[0] > u.shape[1] else u
    x = x / (np.linalg.norm(x) + 1e-8)
    for _ in range(iterations):
        square = x @ x.T
        x = 3.4445 * x + (-4.775 * square + 2.0315 * square @ square) @ x
    return x.T if u.shape[0] > u.shape[1] else x


def muon(gradients, w, rates, decay, beta=0.95, iterations=5, nesterov=True, b1=0.9, b2=0.999):
    """Moments without bias, and the factor of the larger side; Adam for what is no matrix."""
    momentum = beta if w.ndim == 2 else b1
    m = v = np.zeros_like(w)
    for t, (g, eta) in enumerate(zip(gradients, rates), start=1):
        m, v = momentum * m + (1 - momentum) * g, b2 * v + (1 - b2) * g * g
        u = m / (1 - momentum**t)
        if nesterov:
            u = momentum * m / (1 - momentum ** (t + 1)) + (1 - momentum) * g / (1 - momentum**t)
        if w.ndim == 2:
            u = math.sqrt(max(1, w.shape[1] / w.shape[0])) * _iterated(u, iterations)
        else:
            u = u / (np.sqrt(v / (1 - b2**t)) + 1e-8)
        w = w - eta * (u + decay * w)
    return w


ROW = Row(
    "muon",
    {"beta": "0.5", "nesterov": "False", "iterations": "3", "b1": "0.5", "b2": "0.9"},
    OptimizerEvidence(
        (
            OptimizerCase("muon", muon),
            OptimizerCase(
                "muon(beta=0.5, nesterov=False, iterations=3)",
                lambda *given: muon(*given, beta=0.5, nesterov=False, iterations=3),
            ),
            OptimizerCase("muon(b1=0.5, b2=0.9)", lambda *given: muon(*given, b1=0.5, b2=0.9)),
        ),
        # Of a vector, Adam that looks ahead: the sign times 0.9 * 0.1 / 0.19 + 1.
        first=(2 - 0.1 * (28 / 19 + 0.6), -4 - 0.1 * (-28 / 19 - 1.2)),
        errors={"muon(iterations=0)": "iterations must be above 0, got 0", "muon(beta=1)": r"beta must be in \[0, 1\), got 1"},
    ),
)


def test_a_matrix_becomes_one_with_equal_singular_values():
    """Between 0.7 and 1.2, as Jordan has it, whatever the gradient's are; vectors get Adam's first step, the sign."""
    gradient = np.diag([1.0, 0.3, 0.1]) @ np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    (found,) = path("muon", [gradient], np.zeros((3, 3)), decay=0.0)
    values = np.linalg.svd(found / ETA, compute_uv=False)
    assert (values > 0.65).all()
    assert (values < 1.25).all()
    (vector,) = path("muon(nesterov=False)", [[0.2, -3.0]], [0.0, 0.0], decay=0.0)
    np.testing.assert_allclose(vector, [-ETA, ETA], rtol=1e-5)
