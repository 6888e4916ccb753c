"""Evidence of AdamW."""

import numpy as np

from tests.support.evidence import OptimizerCase, OptimizerEvidence
from tests.support.row import Row


def adamw(gradients, w, rates, decay, b1=0.9, b2=0.999, eps=1e-8):
    m = v = np.zeros_like(w)
    for t, (g, eta) in enumerate(zip(gradients, rates), start=1):
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
        w = w - eta * ((m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t)) + eps) + decay * w)
    return w


ROW = Row(
    "adamw",
    {"b1": "0.5", "b2": "0.9", "eps": "0.1"},
    OptimizerEvidence(
        (
            OptimizerCase("adamw", adamw),
            OptimizerCase("adamw(b1=0.5, b2=0.9, eps=0.1)", lambda *given: adamw(*given, b1=0.5, b2=0.9, eps=0.1)),
        ),
        first=(1.84, -3.78),  # the step is the sign of the gradient: 2 - 0.1 (1 + 0.3 * 2) and -4 - 0.1 (-1 + 0.3 * -4)
        errors={"adamw(eps=0)": "eps must be above 0, got 0", "adamw(b2=1)": r"b2 must be in \[0, 1\), got 1"},
    ),
)
