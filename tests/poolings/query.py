"""Evidence of the attention of one query."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import attention
from attention.records import Call
from tests.support import reference_normalizers as normalizers
from tests.support.evidence import PoolingCase, PoolingEvidence
from tests.support.helpers import normal
from tests.support.models import check_training, train
from tests.support.poolings import QUERY, VALID, D, built, states, weighted, witness
from tests.support.row import Row


def reference(scaled=True, activation=lambda x: x, q="learned", **rest):
    def score(row, params, h):
        asked = {"learned": params.get("query"), "ones": np.ones(len(row)), "self": row}.get(q, h)
        return float(np.dot(asked, activation(row))) / (math.sqrt(len(row)) if scaled else 1.0)

    return weighted(score, **rest)


def oracles():
    from tests.support.oracle_packages import F, torch

    def zhou(z, w):
        """H is [D n] in the paper."""
        H = z.T
        return torch.tanh(H @ torch.softmax(w @ torch.tanh(H), dim=-1))

    return {
        "torch SDPA": witness(
            lambda x, w, q: attention.query_pool(x, q, w)[0],
            lambda z, q: F.scaled_dot_product_attention(q[None, None], z[None], z[None])[0, 0],
            QUERY,
        ),
        "torch: Zhou et al., tanh in and out": witness(
            built("query(activation=tanh, output=tanh, scaled=False)", "query"), zhou, QUERY
        ),
    }


CASES = (
    PoolingCase("query", reference(), D),
    PoolingCase(
        "query(scaled=False, normalizer=sigmoid)", reference(False, normalize=normalizers.sigmoid), D, single=None, whole=False
    ),
    PoolingCase(
        "query(activation=tanh, output=tanh, scaled=False)",
        reference(False, np.tanh, output=np.tanh),
        D,
        single=np.tanh,
        sums=False,
    ),
    PoolingCase("query(q=ones, scaled=False)", reference(False, q="ones")),
    PoolingCase("query(q=self)", reference(q="self")),
    PoolingCase(
        "query(q=self, activation=tanh, normalizer=sum_norm)", reference(True, np.tanh, "self", normalize=normalizers.sum_norm)
    ),
    PoolingCase("query(q=last)", reference(q="last", context="last"), ordered=True),
    PoolingCase("query(q=final, scaled=False)", reference(False, q="final", context="final"), ordered=True),
)
OPTIONS = {
    "activation": "tanh",
    "output": "tanh",
    "scaled": "False",
    "q": ("ones", "self", "last", "final"),
    "normalizer": "sparsemax",
}
ERRORS = {
    "query(scaled=2)": "wants True or False, got 2",
    "query(normalizer=softmx)": r"unknown normalizer 'softmx' \(nearest: 'softmax'\)",
}
ROW = Row("query", OPTIONS, PoolingEvidence(CASES, oracles, errors=ERRORS))


@pytest.mark.parametrize("activation", ["none", "tanh"])
def test_zeros_ask_for_a_mean(activation):
    where = jnp.asarray(VALID)
    pooled, weights = attention.query_pool(states(), jnp.zeros(D), where, activation=activation)
    np.testing.assert_allclose(pooled, attention.mean_pool(states(), where), atol=1e-6)
    np.testing.assert_allclose(weights, [1 / 3, 1 / 3, 1 / 3, 0])


def test_it_is_attention():
    """Of one query to keys and values that are the states; a sharp one picks a state."""
    x, q, where = states(), normal(3, D), jnp.asarray(VALID)
    wanted = attention.attend(q[None, None], x[:, None], x[:, None], where=where[None, None])[0, 0]
    np.testing.assert_allclose(attention.query_pool(x, q, where)[0], wanted, atol=1e-6)
    np.testing.assert_allclose(attention.query_pool(x, 1e4 * q, where)[0], x[jnp.argmax(x[:3] @ q)], atol=1e-5)


def test_noise_of_its_own():
    """Random normalizers draw in training only, and not from the keys that the encoder splits."""
    pooling = attention.build("pooling", "query(normalizer=gumbel)")
    params, rng = {"query": jnp.zeros(D)}, jax.random.key(3)
    draw = lambda train, rng: pooling.apply(params, states(), Call(train=train, rng=rng)).weights
    np.testing.assert_allclose(draw(False, rng), 0.25)
    assert not np.allclose(draw(True, rng), 0.25, atol=0.01)
    assert not np.allclose(draw(True, rng), draw(True, jax.random.key(4)), atol=0.01)
    encoder = attention.gumbel(jnp.zeros(4), rng=jax.random.fold_in(rng, 1))
    assert not np.allclose(draw(True, rng), encoder, atol=0.01)


def test_it_trains_with_noise():
    check_training(*train(pooling="query(normalizer=gumbel)"))
