"""Evidence of the linear score."""

import jax.numpy as jnp
import numpy as np

import attention
from tests.support import reference
from tests.support.evidence import ScoreCase, ScoreEvidence
from tests.support.helpers import init, jit
from tests.support.row import Row
from tests.support.scores import DIMS, KEY, QUERY, H, constant, one_head, xavier


def oracles():
    from tests.support import oracle_scores as o

    theirs = lambda q, k, w, b: o.F.linear(o.torch.cat([q, k], -1), w[None], b[None])
    own = o.normal(3, o.N, 2 * o.H), o.normal(5, o.N)
    return {"torch F.linear of [q; k]": o.pairs(attention.linear_scores, theirs, *own)}


ROW = Row(
    "linear",
    {},
    ScoreEvidence(
        (ScoreCase("linear", lambda q, k, i, j, own: reference.linear(q, k, own["weight"], own["bias"]), 2 * H + 1),),
        oracles,
        starts={"linear": {"weight": xavier(81), "bias": constant(0.0)}},
        errors={"bilinear": r"unknown score 'bilinear' \(nearest: '\w*linear'\); known: activated, additive"},
    ),
)


def test_published_numbers():
    """allennlp, linear_attention_test.py, after the softmax."""
    query, keys = one_head([[-7.0, -8.0, -9.0]], [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    scores = attention.linear_scores(query, keys, jnp.array([[-0.3, 0.5, 2.0, -1.0, 1.0, 1.0]]), 0.1)
    np.testing.assert_allclose(attention.softmax(scores)[0, 0], [0.0474, 0.9526], atol=1e-4)


def test_softmax_of_it_does_not_depend_on_the_query():
    params = {"score": init(attention.build("score", "linear"), DIMS)}
    key = jnp.asarray(KEY)
    run = jit(lambda q: attention.attend(q, key, key, score="linear", params=params))
    output = run(QUERY)
    np.testing.assert_allclose(output, jnp.broadcast_to(output[:, :1], output.shape), atol=1e-5)
    np.testing.assert_allclose(run(7 - QUERY), output, atol=1e-5)
