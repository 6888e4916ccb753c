"""Evidence of the dot product."""

import jax.numpy as jnp
import numpy as np

import attention
from tests.support import reference
from tests.support.evidence import ScoreCase, ScoreEvidence
from tests.support.row import Row
from tests.support.scores import one_head


def oracles():
    from tests.support import oracle_scores as o

    return {
        "torch.matmul": o.Witness(attention.dot_scores, o.products(1.0), o.queries_and_keys()),
        "torch SDPA(scale=1)": o.sdpa("dot", 1.0),
    }


ROW = Row("dot", {}, ScoreEvidence((ScoreCase("dot", lambda q, k, i, j, own: reference.dot(q, k)),), oracles))


def test_published_numbers():
    """keras, attention_test.py."""
    query, key, value = one_head(np.eye(2), [[0.0, 1.0], [1.0, 0.0]], [[1.0, 2.0], [3.0, 4.0]])
    output, weights = attention.attend(query, key, value, score="dot", return_weights=True)
    np.testing.assert_allclose(weights[0], [[0.269, 0.731], [0.731, 0.269]], atol=1e-3)
    np.testing.assert_allclose(output[:, 0], [[2.462, 3.462], [1.538, 2.538]], atol=1e-3)


def test_a_scale():
    np.testing.assert_allclose(attention.dot_scores(jnp.ones((1, 1, 4)), jnp.ones((1, 1, 4)), scale=0.5), [[[2.0]]])
