"""Evidence of the gate that the input computes, beside the identity."""

import numpy as np

from tests.gates.input import OPEN, gated
from tests.support.evidence import GateCase, GateEvidence
from tests.support.row import Row


def _case(spec, start):
    opened = lambda D: {"kernel": np.zeros((D, D)), "bias": np.full(D, -40.0)}
    return GateCase(spec, lambda x, own: x + gated(x, own), lambda D: D * D + D, start, opened)


ROW = Row(
    "residual_input",
    {"bias": "0.5"},
    GateEvidence(
        (_case("residual_input", lambda x: (1 + OPEN) * x), _case("residual_input(bias=0)", lambda x: 1.5 * x)),
        errors={"residual_input(bias=inf)": "option 'bias' wants a number, got 'inf'"},
    ),
)
