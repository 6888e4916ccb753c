"""Evidence of additive attention to query and key side by side."""

import math

import jax.numpy as jnp
import numpy as np

import attention
from tests.support import reference
from tests.support.evidence import Law, ScoreCase, ScoreEvidence
from tests.support.row import Row
from tests.support.scores import PUBLISHED_ADDITIVE, A, H, one_head, xavier


def concat(q, k, w, v):
    """vᵀ tanh(W [q; k]) with W of shape [2H A], the pair put side by side."""
    pair = np.concatenate([q, k])
    return sum(v[a] * math.tanh(reference.dot(pair, w[:, a])) for a in range(len(v)))


def oracles():
    from tests.support import oracle_scores as o

    theirs = lambda q, k, w, v: o.F.linear(o.torch.tanh(o.F.linear(o.torch.cat([q, k], -1), w.T)), v[None])
    own = o.normal(3, o.N, 2 * o.H, o.A), o.normal(4, o.N, o.A)
    return {"torch F.linear of [q; k]": o.pairs(attention.concat_scores, theirs, *own)}


LAWS = {
    "it is additive with W cut in two": Law(
        lambda q, k, o: attention.concat_scores(q, k, jnp.concatenate([o.U, o.V], 1), o.vector),
        lambda q, k, o: attention.additive_scores(
            jnp.einsum("btnh,nha->btna", q, o.U), jnp.einsum("bsnh,nha->bsna", k, o.V), o.vector
        ),
    ),
}
ROW = Row(
    f"concat(hidden={A})",
    {"hidden": "4"},
    ScoreEvidence(
        (ScoreCase(f"concat(hidden={A})", lambda q, k, i, j, own: concat(q, k, own["kernel"], own["vector"]), 2 * H * A + A),),
        oracles,
        laws=LAWS,
        starts={
            "concat(hidden=16)": {"kernel": xavier(96), "vector": xavier(17)},
            "concat": {"kernel": xavier(120), "vector": xavier(41)},
        },
        errors={
            "concat(hidden=0)": "hidden must be None or >= 1, got 0",
            "concat(bias=True)": "unknown option 'bias'; options of concat: hidden=None",
        },
    ),
)


def test_published_numbers():
    """Those of additive attention with its matrices one above the other: the paper's W [q; k]."""
    W, U, v = (jnp.asarray(PUBLISHED_ADDITIVE[name], jnp.float32) for name in "WUv")
    for q, keys, wanted in PUBLISHED_ADDITIVE["rows"]:
        query, key = one_head([q], keys)
        found = attention.concat_scores(query, key, jnp.concatenate([W, U])[None], v[None])
        np.testing.assert_allclose(found[0, 0], wanted, atol=1e-6)
