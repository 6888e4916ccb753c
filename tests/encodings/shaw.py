"""Evidence of Shaw's relative positions."""

import math

import jax.numpy as jnp
import numpy as np

import attention
from tests.support import reference_normalizers
from tests.support.encodings import H, N, added, idle_rows, pairs
from tests.support.evidence import EncodingCase, EncodingEvidence
from tests.support.helpers import float64, init, jit, normal
from tests.support.row import Row

K = 3


def terms(q, k, params, i, j, scale, x, text):
    row = lambda r: params["keys"][min(max(r, -K), K) + K]
    return pairs(q, k, lambda n, a, b: scale * q[a, n] @ row(int(j[b] - i[a])))


ROW = Row(
    f"shaw(max_distance={K})",
    {"max_distance": "2", "values": "False"},
    EncodingEvidence(
        (
            EncodingCase(f"shaw(max_distance={K})", scores=added(terms)),
            EncodingCase(f"shaw(max_distance={K}, values=False)", scores=added(terms)),
        ),
        "its numbers are those of the double loop below",
        (0, 2 * (2 * K + 1) * H),
        whole=True,
        errors={"shaw(max_distance=0)": "max_distance must be >= 1, got 0"},
    ),
)


def test_values_by_a_double_loop():
    """Both terms against a direct double loop over queries and keys."""
    T, K = 6, 2
    record = attention.build("encoding", f"shaw(max_distance={K})")
    params = init(record)
    query, key, value = normal(1, 1, T, N, H), normal(2, 1, T, N, H), normal(3, 1, T, N, H)
    run = jit(lambda *a: attention.attend(*a, encoding=record, params={"encoding": params}, return_weights=True))
    output, weights = run(query, key, value)
    q, k, v, own = float64((query[0], key[0], value[0], params))
    for n in range(N):
        for i in range(T):
            rows = [min(max(j - i, -K), K) + K for j in range(T)]
            scores = [(q[i, n] @ k[j, n] + q[i, n] @ own["keys"][rows[j]]) / math.sqrt(H) for j in range(T)]
            a = reference_normalizers.softmax(scores, [True] * T)
            np.testing.assert_allclose(weights[0, n, i], a, atol=1e-5)
            wanted = sum(a[j] * (v[j, n] + own["values"][rows[j]]) for j in range(T))
            np.testing.assert_allclose(output[0, i, n], wanted, atol=1e-5)
    np.testing.assert_array_equal(attention.clipped_distance(jnp.array([-9, -1, 0, 1, 9]), 2), [0, 1, 2, 3, 4])


def test_every_row_is_used():
    assert idle_rows(ROW.spec) == set()
