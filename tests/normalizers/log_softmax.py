"""Evidence of the logarithm of softmax."""

import math

import numpy as np

import attention
from tests.support.evidence import NormalizerEvidence
from tests.support.normalizers import case
from tests.support.reference_normalizers import allowed, softmax
from tests.support.row import Row


def log_softmax(row, mask):
    weights, p = np.zeros(len(row)), softmax(row, mask)
    for j, _ in allowed(row, mask):
        weights[j] = math.log(p[j])
    return weights


def oracles():
    from tests.support import oracle_normalizers as o

    return {"torch.log_softmax": o.row(attention.log_softmax, lambda z: o.torch.log_softmax(z, -1))}


ROW = Row("log_softmax", {}, NormalizerEvidence((case("log_softmax", log_softmax),), oracles))
