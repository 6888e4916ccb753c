"""Evidence of the bilinear score."""

import jax.numpy as jnp
import numpy as np

import attention
from tests.support import reference
from tests.support.evidence import Law, ScoreCase, ScoreEvidence
from tests.support.row import Row
from tests.support.scores import H, constant, one_head, xavier


def oracles():
    from tests.support import oracle_scores as o

    theirs = lambda q, k, w, b: o.F.bilinear(q, k, w[None], b[None])
    return {"torch F.bilinear": o.pairs(attention.general_scores, theirs, o.normal(3, o.N, o.H, o.H), o.normal(5, o.N))}


CASES = (
    ScoreCase(
        "general(bias=True)",
        lambda q, k, i, j, own: reference.bilinear(q, k, own["kernel"]) + own["bias"],
        H * H + 1,
    ),
    ScoreCase("general", lambda q, k, i, j, own: reference.bilinear(q, k, own["kernel"]), H * H),
)
LAWS = {
    "with W = I it is dot": Law(
        lambda q, k, o: attention.general_scores(q, k, o.eye), lambda q, k, o: attention.dot_scores(q, k)
    ),
}
ROW = Row(
    "general(bias=True)",
    {"bias": "False"},
    ScoreEvidence(
        CASES,
        oracles,
        laws=LAWS,
        starts={"general(bias=True)": {"kernel": xavier(80), "bias": constant(0.0)}},
        errors={"general(bias=1)": "option 'bias' wants True or False, got 1"},
    ),
)


def test_published_numbers():
    """allennlp, bilinear_attention_test.py."""
    query, key = one_head([[1.0, 1.0]], np.eye(2))
    kernel = jnp.array([[[-0.3, 0.5], [2.0, -1.0]]])
    np.testing.assert_allclose(attention.general_scores(query, key, kernel, 0.1)[0, 0], [1.8, -0.4], atol=1e-6)
