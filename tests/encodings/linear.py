"""Evidence of a learned direction."""

import jax.numpy as jnp
import numpy as np

import attention
from tests.support.encodings import D, coded, starts
from tests.support.evidence import EncodingCase, EncodingEvidence
from tests.support.helpers import normal
from tests.support.row import Row


def form(scale):
    return coded(lambda i, dim, params: scale * i * params["direction"])


def oracles():
    from tests.support.encoding_oracles import A, torch
    from tests.support.witness import Witness

    theirs = lambda p, w: torch.outer(p.flatten().double(), w).reshape(A.B, A.T, A.D)
    ours = lambda p, w: attention.linear_positions(p, w)
    return {"torch.outer": Witness(ours, theirs, (A.positions(), A.normal(0, A.D)))}


ROW = Row(
    "linear(scale=0.2)",
    {"scale": "0.5"},
    EncodingEvidence(
        (EncodingCase("linear(scale=0.2)", form(0.2)), EncodingCase("linear", form(1.0))),
        oracles,
        (D, 0),
        moved="other",
        errors={"linear(scale=0)": "scale must be a finite number other than 0, got 0.0"},
    ),
)


def test_far_positions():
    w = normal(0, 3)
    found = attention.linear_positions(jnp.array([[0, 2, 1_000_000]]), w)
    np.testing.assert_allclose(found[0], [[i * float(c) for c in w] for i in (0, 2, 1_000_000)], rtol=1e-6)


def test_start():
    np.testing.assert_allclose(starts("linear", model_dim=4000)["direction"].std(), 0.02, rtol=0.05)
