"""Evidence of rectified linear attention."""

import math

import numpy as np

import attention
from tests.support.evidence import NormalizerEvidence
from tests.support.helpers import normal
from tests.support.normalizers import HEAD_DIM, HEADS, case
from tests.support.reference_normalizers import pointwise
from tests.support.row import Row


def oracles():
    from tests.support import oracle_normalizer_layers as o

    def theirs(query, key, value, where, scale, gate):
        scores = o.F.relu(query @ key.transpose(-1, -2) / math.sqrt(o.H)).masked_fill(~where, 0.0)
        x = (scores @ value).transpose(1, 2).flatten(2)
        x = o.F.rms_norm(x, (o.D,), scale.flatten(), eps=1e-6) * o.torch.sigmoid(gate.flatten() * x)
        return x.reshape(o.B, o.T, o.N, o.H).transpose(1, 2)

    inputs = *o.inputs(heads=o.N), 1 + o.normal(6, o.N, o.H, scale=0.3), o.normal(7, o.N, o.H)
    ours = o.ours_of("rela", "scale", "gate")
    return {"torch F.relu, F.rms_norm, sigmoid": o.Witness(ours, o.heads_first(theirs), inputs)}


ROW = Row(
    "rela",
    {},
    NormalizerEvidence(
        (case("rela", pointwise, options={"activation": "relu", "power": 0.0}, count=2 * HEADS * HEAD_DIM),),
        oracles,
        public=None,
    ),
)


def test_gated_rms_norm():
    output = normal(0, 2, 3, 4, 8)
    scale, gate = normal(1, 4, 8), normal(2, 4, 8)
    x = np.asarray(output, np.float64)
    rms = np.sqrt((x**2).mean((-2, -1), keepdims=True) + 1e-6)
    wanted = scale * x / rms / (1 + np.exp(-np.asarray(gate) * x))
    np.testing.assert_allclose(attention.gated_rms_norm(output, scale, gate), wanted, atol=1e-5)
    np.testing.assert_allclose(attention.gated_rms_norm(0 * output, scale, gate), 0 * x, atol=1e-6)
