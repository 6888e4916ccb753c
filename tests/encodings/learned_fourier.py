"""Evidence of learned Fourier features."""

import math

import numpy as np

import attention
from tests.support.encodings import D, coded, starts
from tests.support.evidence import EncodingCase, EncodingEvidence
from tests.support.helpers import float64, init, jit
from tests.support.row import Row


def code(i, dim, params):
    gelu = np.vectorize(lambda z: z * 0.5 * (1 + math.erf(z / math.sqrt(2))))
    angle = i * params["frequencies"]
    r = np.concatenate([np.cos(angle), np.sin(angle)]) / math.sqrt(2 * len(angle))
    return gelu(r @ params["hidden"] + params["hidden_bias"]) @ params["out"] + params["out_bias"]


def oracles():
    from tests.support.encoding_oracles import A, F, torch
    from tests.support.witness import Witness

    def theirs(p, w, hidden, hidden_bias, out, out_bias):
        wave = torch.exp(1j * p[..., None] * w)
        features = torch.cat([wave.real, wave.imag], -1) / math.sqrt(2 * len(w))
        return F.linear(F.gelu(F.linear(features, hidden.T, hidden_bias)), out.T, out_bias)

    own = (A.normal(i, *shape) for i, shape in enumerate([(4,), (8, 5), (5,), (5, A.D), (A.D,)]))
    return {"torch.exp(i w p), F.linear, F.gelu": Witness(attention.learned_fourier, theirs, (A.positions(50), *own))}


ROW = Row(
    "learned_fourier(hidden=5)",
    {"features": "8", "hidden": "6", "gamma": "3.0"},
    EncodingEvidence(
        (
            EncodingCase("learned_fourier(hidden=5)", coded(code)),
            EncodingCase("learned_fourier(features=6, hidden=5)", coded(code)),
        ),
        oracles,
        (D // 2 + D * 5 + 5 + 5 * D + D, 0),
        moved="other",
        errors={
            "learned_fourier(features=3)": "features must be None or an even number >= 2, got 3",
            "learned_fourier(hidden=0)": "hidden must be >= 1, got 0",
            "learned_fourier(gamma=0)": "gamma must be a finite number > 0, got 0.0",
        },
    ),
)


def test_far_positions():
    params = init(attention.build("encoding", "learned_fourier(features=6, hidden=5)"))
    where = np.array([[0, 1, 30], [2, 500, 1_000_000]])
    found = jit(lambda params, p: attention.learned_fourier(p, **params))(params, where)
    wanted = [[code(float(p), D, float64(params)) for p in row] for row in where]
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_start():
    np.testing.assert_allclose(starts("learned_fourier(features=4000, gamma=4)")["frequencies"].std(), 0.25, rtol=0.05)
    odd = starts("learned_fourier", model_dim=7)
    assert odd["hidden"].shape == (8, 32)
    assert odd["out"].shape == (32, 7)
