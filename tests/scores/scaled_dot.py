"""Evidence of the scaled dot product."""

import math

import jax.numpy as jnp
import numpy as np

import attention
from tests.support import reference
from tests.support.evidence import Law, ScoreCase, ScoreEvidence
from tests.support.row import Row
from tests.support.scores import H, constant


def oracles():
    from tests.support import oracle_scores as o

    return {
        "torch.matmul": o.Witness(attention.scaled_dot_scores, o.products(o.H**-0.5), o.queries_and_keys()),
        "torch SDPA": o.sdpa("scaled_dot", None),
    }


CASES = (
    ScoreCase("scaled_dot(learned_scale=True)", lambda q, k, i, j, own: own["gain"] * reference.scaled_dot(q, k), 1),
    ScoreCase("scaled_dot", lambda q, k, i, j, own: reference.scaled_dot(q, k)),
)
LAWS = {
    "with a gain of √H it is dot": Law(
        lambda q, k, o: attention.scaled_dot_scores(q, k, jnp.full(2, math.sqrt(H))),
        lambda q, k, o: attention.dot_scores(q, k),
    ),
}
ROW = Row(
    "scaled_dot(learned_scale=True)",
    {"learned_scale": "False"},
    ScoreEvidence(
        CASES,
        oracles,
        laws=LAWS,
        starts={"scaled_dot(learned_scale=True)": {"gain": constant(1.0)}},
        errors={"scaled_dot(learned_scale=2)": "option 'learned_scale' wants True or False, got 2"},
    ),
)


def test_a_sum_of_terms_is_scaled_as_one():
    np.testing.assert_allclose(attention.scaled_dot_scores(jnp.ones((1, 1, 4)), jnp.ones((1, 1, 4)), terms=4), [[[1.0]]])
