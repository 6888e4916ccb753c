"""Evidence of additive attention."""

import jax.numpy as jnp
import numpy as np

import attention
from tests.support import reference
from tests.support.evidence import ScoreCase, ScoreEvidence
from tests.support.row import Row
from tests.support.scores import PUBLISHED_ADDITIVE, A, H, constant, one_head, xavier


def oracles():
    from tests.support import oracle_scores as o

    def ours(q, k, w, u, v, b):
        query, key = jnp.einsum("btnh,nha->btna", q, w) + b, jnp.einsum("btnh,nha->btna", k, u)
        return attention.additive_scores(query, key, v)

    theirs = lambda q, k, w, u, v, b: o.F.linear(o.torch.tanh(o.F.linear(q, w.T, b) + o.F.linear(k, u.T)), v[None])
    own = o.normal(3, o.N, o.H, o.A), o.normal(4, o.N, o.H, o.A), o.normal(5, o.N, o.A), o.normal(6, o.N, o.A)
    return {"torch F.linear, tanh": o.pairs(ours, theirs, *own)}


def _reference(q, k, i, j, own):
    return reference.additive(q, k, own["query"], own["key"], own["vector"], own.get("bias", [0.0] * A))


ROW = Row(
    f"additive(hidden={A})",
    {"hidden": "4", "bias": "False"},
    ScoreEvidence(
        (
            ScoreCase(f"additive(hidden={A})", _reference, 2 * H * A + 2 * A),
            ScoreCase(f"additive(hidden={A}, bias=False)", _reference, 2 * H * A + A),
        ),
        oracles,
        starts={
            "additive(hidden=16)": {"query": xavier(56), "key": xavier(56), "vector": xavier(17), "bias": constant(0.0)},
            "additive": {"query": xavier(80), "key": xavier(80), "vector": xavier(41), "bias": constant(0.0)},
        },
        errors={"additive(hidden=0)": "hidden must be None or >= 1, got 0"},
    ),
)


def test_published_numbers():
    W, U, v = (jnp.asarray(PUBLISHED_ADDITIVE[name], jnp.float32) for name in "WUv")
    for q, keys, wanted in PUBLISHED_ADDITIVE["rows"]:
        query, key = one_head([q], keys)
        np.testing.assert_allclose(attention.additive_scores(query @ W, key @ U, v[None])[0, 0], wanted, atol=1e-6)


def test_published_numbers_of_unit_weights():
    """keras, additive_attention_test.py: tanh of the sum, softmax, and the weighted values."""
    query, key = one_head(np.eye(2), [[0.0, 1.0], [1.0, 0.0]])
    weights = attention.softmax(attention.additive_scores(query, key, jnp.ones((1, 2))))[0]
    np.testing.assert_allclose(weights, [[0.636, 0.363], [0.363, 0.636]], atol=1e-3)
    np.testing.assert_allclose(weights @ jnp.array([[1.0, 2.0], [3.0, 4.0]]), [[1.727, 2.727], [2.272, 3.272]], atol=1e-3)
