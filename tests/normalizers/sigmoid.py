"""Evidence of sigmoid attention."""

import math

import jax
import numpy as np
import pytest

import attention
from tests.support.evidence import NormalizerEvidence
from tests.support.helpers import DIMS
from tests.support.normalizers import HEADS, case, exp_of, own
from tests.support.reference_normalizers import sigmoid
from tests.support.row import Row


def oracles():
    from tests.support import oracle_normalizer_layers as layers
    from tests.support import oracle_normalizers as o

    return {
        "torch.sigmoid, by s and τ": o.row(
            lambda s, w, t: attention.sigmoid(s, w, temperature=t),
            lambda z, t: o.torch.sigmoid(z / t - math.log(len(z))),
            o.positive(3),
        ),
        "x-transformers sigmoid": layers.x_transformers("sigmoid(bias=0)", sigmoid=True),
    }


LEARNED = "sigmoid(bias=learned, temperature=learned)"
CASES = (
    case(LEARNED, sigmoid, of={"bias": own("bias"), "temperature": exp_of("log_temperature")}, count=2 * HEADS),
    case("sigmoid", sigmoid, 0.35218743, 0.59641800, 0.24797569, 0.06853348, 0.54749688),
    case("sigmoid(bias=-1)", sigmoid, options={"bias": -1.0}),
)


def picture():
    from tools.kinds.normalizer_weights import shown

    return shown("sigmoid", "sigmoid, b = -log 5")


ROW = Row(
    LEARNED,
    {"bias": ("row", "-1.0"), "temperature": "2.0"},
    NormalizerEvidence(
        CASES, oracles, errors={"sigmoid(bias=rows)": "wants a number or 'row' or 'learned', got 'rows'"}, picture=picture
    ),
)


def test_start():
    """The bias at -log n for the training length, which has to be known; the temperature at 1."""
    start = lambda dims: attention.build("normalizer", LEARNED).init(jax.random.key(0), dims)
    np.testing.assert_allclose(start(DIMS)["bias"], np.full(HEADS, -np.log(48)), rtol=1e-6)
    np.testing.assert_array_equal(start(DIMS)["log_temperature"], np.zeros(HEADS))
    with pytest.raises(ValueError, match="needs the training length"):
        start(DIMS._replace(max_length=None))
