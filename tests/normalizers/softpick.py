"""Evidence of softpick."""

import math

import numpy as np

import attention
from tests.support.evidence import NormalizerEvidence
from tests.support.normalizers import case
from tests.support.reference_normalizers import allowed
from tests.support.row import Row


def softpick(row, mask):
    weights, total = np.zeros(len(row)), sum(abs(math.exp(s) - 1) for _, s in allowed(row, mask))
    for j, s in allowed(row, mask):
        weights[j] = max(math.exp(s) - 1, 0.0) / total if total else 0.0
    return weights


def oracles():
    from tests.support import oracle_normalizers as o

    def theirs(z):
        u = z.exp() - 1
        return o.F.relu(u) / u.abs().sum()

    return {"torch: [e^s - 1]+ / Σ |e^s - 1|": o.row(attention.softpick, theirs)}


ROW = Row(
    "softpick",
    {},
    NormalizerEvidence((case("softpick", softpick, 0.11901249, 0.44252199, 0.04493206, 0, 0.34975120),), oracles),
)
