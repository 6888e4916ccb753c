"""Evidence of the trilinear score."""

import jax.numpy as jnp
import numpy as np

import attention
from tests.support import reference
from tests.support.evidence import Law, ScoreCase, ScoreEvidence
from tests.support.row import Row
from tests.support.scores import H, one_head, xavier


def trilinear(q, k, w):
    return reference.dot(np.concatenate([q, k, q * k]), w)


def oracles():
    from tests.support import oracle_scores as o

    theirs = lambda q, k, w: o.F.linear(o.torch.cat([q, k, q * k], -1), w[None])
    return {"torch F.linear of [q; k; qk]": o.pairs(attention.trilinear_scores, theirs, o.normal(3, o.N, 3 * o.H))}


LAWS = {
    "without products it is linear": Law(
        lambda q, k, o: attention.trilinear_scores(q, k, jnp.concatenate([o.linear, 0 * o.products], -1)),
        lambda q, k, o: attention.linear_scores(q, k, o.linear),
    ),
    "with products alone it is a weighted dot": Law(
        lambda q, k, o: attention.trilinear_scores(q, k, jnp.concatenate([0 * o.linear, o.products], -1)),
        lambda q, k, o: attention.dot_scores(q * o.products, k),
    ),
}
ROW = Row(
    "trilinear",
    {},
    ScoreEvidence(
        (ScoreCase("trilinear", lambda q, k, i, j, own: trilinear(q, k, own["weight"]), 3 * H),),
        oracles,
        laws=LAWS,
        starts={"trilinear": {"weight": xavier(121)}},
    ),
)


def test_published_numbers():
    """allennlp, linear_attention_test.py, combination x,y,x*y."""
    query, keys = one_head([[4.0, 5.0]], [[1.0, 2.0], [4.0, 5.0], [7.0, 8.0], [10.0, 11.0]])
    scores = attention.trilinear_scores(query, keys, jnp.array([[-0.3, 0.5, 2.0, -1.0, 1.0, 1.0]]))
    np.testing.assert_allclose(scores[0, 0], [15.3, 45.3, 75.3, 105.3], atol=1e-4)
