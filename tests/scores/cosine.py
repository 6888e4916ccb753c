"""Evidence of the cosine."""

import jax
import jax.numpy as jnp
import numpy as np

import attention
from tests.support import reference
from tests.support.evidence import ScoreCase, ScoreEvidence
from tests.support.helpers import jit
from tests.support.row import Row
from tests.support.scores import KEY, QUERY, constant, one_head


def oracles():
    from tests.support import oracle_scores as o

    theirs = lambda q, k, g: g * o.F.cosine_similarity(q, k, dim=-1)
    return {"torch F.cosine_similarity": o.pairs(attention.cosine_scores, theirs, o.normal(3, o.N))}


ROW = Row(
    "cosine(gain=3)",
    {"gain": "2"},
    ScoreEvidence(
        (ScoreCase("cosine(gain=3)", lambda q, k, i, j, own: reference.cosine(q, k, own["gain"]), 1),),
        oracles,
        starts={"cosine(gain=2)": {"gain": constant(2.0)}, "cosine": {"gain": constant(10.0)}},
        errors={
            "cosine(gain=0)": "gain must be a finite number > 0, got 0.0",
            "cosine(gain=-1)": "gain must be a finite number > 0, got -1.0",
        },
    ),
)


def test_published_numbers():
    """allennlp, cosine_attention_test.py; a zero query scores 0, with a finite gradient."""
    query, keys = one_head([[1.0, 1.0, 1.0]], [[7.0, 8.0, 9.0], [10.0, 11.0, 12.0]])
    np.testing.assert_allclose(attention.cosine_scores(query, keys)[0, 0], [0.9948, 0.9973], atol=1e-4)
    run = jit(jax.value_and_grad(lambda q: jnp.sum(attention.cosine_scores(q, keys))))
    with jax.debug_nans(True):
        value, gradient = run(jnp.zeros((1, 1, 3)))
    assert value == 0
    assert np.isfinite(gradient).all()


def test_scale_free_and_bounded():
    run = jit(lambda q, k: attention.cosine_scores(q, k, jnp.array([2.0, 5.0])))
    np.testing.assert_allclose(run(QUERY * 1000, KEY * 0.01), run(QUERY, KEY), atol=1e-5)
    assert (np.abs(run(QUERY, KEY)) <= np.array([2.0, 5.0])[:, None, None]).all()
    itself = run(QUERY, QUERY).diagonal(axis1=-2, axis2=-1)
    np.testing.assert_allclose(itself, np.broadcast_to([[2.0], [5.0]], itself.shape), rtol=1e-5)
