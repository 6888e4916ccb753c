"""Evidence of the multiplicative gate."""

import numpy as np

from tests.support.evidence import GateCase, GateEvidence
from tests.support.row import Row

CASE = GateCase(
    "mult",
    lambda x, own: np.stack([own["weight"] * row for row in x]),
    count=lambda D: D,
    start=None,
    opened=lambda D: {"weight": np.ones(D)},
)
ROW = Row("mult", {}, GateEvidence((CASE,)))
