"""Evidence of the Laplace activation."""

import math

import numpy as np

import attention
from tests.support.evidence import NormalizerEvidence
from tests.support.normalizers import case
from tests.support.row import Row


def laplace(row, mask):
    mean, deviation = math.sqrt(0.5), math.sqrt(1 / (4 * math.pi))
    return np.array([0.5 * math.erfc(-(s - mean) / (deviation * math.sqrt(2))) if m else 0.0 for s, m in zip(row, mask)])


def oracles():
    from tests.support import oracle_normalizers as o

    theirs = lambda z: o.LaplaceActivation()(z, math.sqrt(0.5), math.sqrt(0.25 / math.pi))
    return {"transformers LaplaceActivation": o.row(attention.laplace, theirs)}


ROW = Row(
    "laplace",
    {"mean": "0.5", "deviation": "0.5"},
    NormalizerEvidence(
        (case("laplace", laplace, 0.85043001, 0.99999771, 0.23142122, 0.00000000, 0.99994651, near=1.0),),
        oracles,
        errors={"laplace(deviation=0)": "deviation must be a finite number > 0, got 0.0"},
    ),
)
