"""Evidence of the negative squared distance."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.distance import cdist

import attention
from attention.encodings.rope import rope
from tests.support.evidence import Law, ScoreCase, ScoreEvidence
from tests.support.helpers import jit, normal
from tests.support.row import Row
from tests.support.scores import KEY, QUERY, H


def l2(q, k):
    return -sum((a - b) ** 2 for a, b in zip(q, k)) / math.sqrt(len(q))


def oracles():
    from tests.support import oracle_scores as o

    def distances(query, key):
        exact = {"compute_mode": "donot_use_mm_for_euclid_dist"}
        return -(o.torch.cdist(query.transpose(1, 2), key.transpose(1, 2), **exact) ** 2) / math.sqrt(o.H)

    # x-transformers scales squared distances as it does products.
    module = o.x_attend.Attend(heads=o.N, l2_distance=True, qk_norm=True).double().eval()
    theirs = lambda q, k, v: module(*(x.transpose(1, 2) for x in (q, k, v)))[0].transpose(1, 2)
    ours = lambda q, k, v: attention.attend(q, k, v, score="l2")
    return {
        "torch.cdist": o.Witness(attention.l2_scores, distances, o.queries_and_keys()),
        "x-transformers l2_distance": o.Witness(ours, theirs, (*o.queries_and_keys(), o.normal(2, o.B, o.S, o.N, o.H))),
    }


LAWS = {
    "of unit vectors it is 2 (cos - 1) / √H": Law(
        lambda q, k, o: attention.l2_scores(attention.unit(q), attention.unit(k)),
        lambda q, k, o: 2 * (attention.cosine_scores(q, k) - 1) / math.sqrt(H),
    ),
    "it is scaled dot less the lengths": Law(
        lambda q, k, o: attention.l2_scores(q, k) - attention.l2_scores(q, jnp.zeros_like(k)),
        lambda q, k, o: (
            2 * attention.scaled_dot_scores(q, k) - jnp.moveaxis((k**2).sum(-1), -1, -2)[..., None, :] / math.sqrt(H)
        ),
    ),
}
ROW = Row("l2", {}, ScoreEvidence((ScoreCase("l2", lambda q, k, i, j, own: l2(q, k)),), oracles, laws=LAWS))


def test_it_is_scipys():
    with jax.enable_x64(True):
        query, key = (np.random.default_rng(i).normal(size=(7 + i, 1, 5)) for i in range(2))
        wanted = -(cdist(query[:, 0], key[:, 0]) ** 2) / math.sqrt(5)
        np.testing.assert_allclose(attention.l2_scores(jnp.asarray(query), jnp.asarray(key))[0], wanted, atol=1e-12)


@pytest.mark.parametrize("offset", [0.0, 10.0, 1000.0])
def test_error_of_near_neighbours(offset):
    """The documented error, where it is worst: near neighbours far from the origin."""
    query = normal(0, 50, 1, 64) + offset
    key = jnp.concatenate([query, query + normal(1, 50, 1, 64, scale=0.01)])
    exact = cdist(np.float64(query[:, 0]), np.float64(key[:, 0])) ** 2 / 8
    squares = (np.float64(query[:, 0]) ** 2).sum(-1)[:, None] + (np.float64(key[:, 0]) ** 2).sum(-1)
    error = np.abs(np.asarray(jit(attention.l2_scores)(query, key)[0]) + exact)
    assert (error < 1.2e-7 * squares).all()
    assert error.max() > 1e-9 * squares.max()  # it is there


def test_rotations_turn_it():
    """Rotations keep lengths: after rope the distance of turned vectors depends on the distance of positions alone."""
    query, key = jnp.asarray(QUERY), jnp.asarray(KEY)
    run = jit(lambda i, j: attention.l2_scores(rope(query, i), rope(key, j)))
    here, there = (run(jnp.array([3, 5, 8]) + c, jnp.array([0, 2, 4, 9]) + c) for c in (0, 50))
    np.testing.assert_allclose(here, there, atol=1e-4)
    assert not np.allclose(here, attention.l2_scores(query, key), atol=0.1)


def test_a_sum_of_terms_is_scaled_as_one():
    np.testing.assert_allclose(attention.l2_scores(jnp.zeros((1, 1, 4)), jnp.ones((1, 1, 4)), terms=4), [[[-1.0]]])
