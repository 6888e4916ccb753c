"""Evidence of the gate that the input computes."""

import numpy as np

from tests.support.evidence import GateCase, GateEvidence
from tests.support.row import Row

OPEN = 0.8807970779778823  # σ(2)


def gated(x, own):
    return np.stack([row / (1 + np.exp(-(row @ own["kernel"] + own["bias"]))) for row in x])


def _case(spec, start):
    opened = lambda D: {"kernel": np.zeros((D, D)), "bias": np.full(D, 40.0)}
    return GateCase(spec, gated, lambda D: D * D + D, start, opened)


ROW = Row(
    "input",
    {"bias": "0.5"},
    GateEvidence(
        (_case("input", lambda x: OPEN * x), _case("input(bias=0)", lambda x: x / 2)),
        errors={"input(bias=inf)": "option 'bias' wants a number, got 'inf'"},
    ),
)
