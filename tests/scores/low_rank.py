"""Evidence of the score of low rank."""

import jax
import jax.numpy as jnp
import pytest

import attention
from tests.support import reference
from tests.support.evidence import Law, ScoreCase, ScoreEvidence
from tests.support.helpers import normal, params_of
from tests.support.row import Row
from tests.support.scores import DIMS, H, R, xavier


def low_rank(q, k, u, v):
    """(Uq)·(Vk) with U, V of shape [H R]."""
    return sum(reference.dot(q, u[:, r]) * reference.dot(k, v[:, r]) for r in range(u.shape[1]))


def oracles():
    from tests.support import oracle_scores as o

    theirs = lambda q, k, u, v: (o.F.linear(q, u.T) * o.F.linear(k, v.T)).sum(-1)
    own = o.normal(3, o.N, o.H, o.A), o.normal(4, o.N, o.H, o.A)
    return {"torch F.linear, product": o.pairs(attention.low_rank_scores, theirs, *own)}


LAWS = {
    "with U = V = I it is dot": Law(
        lambda q, k, o: attention.low_rank_scores(q, k, o.eye, o.eye), lambda q, k, o: attention.dot_scores(q, k)
    ),
    "it is general with W = UᵀV": Law(
        lambda q, k, o: attention.low_rank_scores(q, k, o.U, o.V),
        lambda q, k, o: attention.general_scores(q, k, jnp.einsum("nhr,ngr->nhg", o.U, o.V)),
    ),
}
ROW = Row(
    f"low_rank(rank={R})",
    {"rank": "2"},
    ScoreEvidence(
        (ScoreCase(f"low_rank(rank={R})", lambda q, k, i, j, own: low_rank(q, k, own["query"], own["key"]), 2 * H * R),),
        oracles,
        laws=LAWS,
        starts={"low_rank(rank=8)": {"query": xavier(48), "key": xavier(48)}},
        errors={
            "low_rank(rank=0)": "rank must be >= 1, got 0",
            "low_rank(rank=1.5)": "option 'rank' wants a whole number, got 1.5",
        },
    ),
)


def test_the_default_rank():
    made = attention.build("score", "low_rank").init(jax.random.key(0), DIMS)
    assert made["query"].shape == made["key"].shape == (2, H, 8)


def test_rotation_of_an_odd_rank():
    x = normal(0, 3, 1, 4)
    params = params_of(score="low_rank(rank=3)", dims=DIMS._replace(num_heads=1, head_dim=4))
    with pytest.raises(ValueError, match=r"rope turns pairs of channels: fraction 1\.0 of 3 is 3"):
        attention.attend(x, x, x, score="low_rank(rank=3)", encoding="rope", params=params)
