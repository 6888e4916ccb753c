"""Evidence of feed-forward attention."""

import math

import jax.numpy as jnp
import numpy as np

import attention
from tests.support import reference_normalizers as normalizers
from tests.support.evidence import PoolingCase, PoolingEvidence
from tests.support.poolings import NUMBER, QUERY, VALID, D, built, draw, states, weighted, witness
from tests.support.row import Row


def reference(activation=np.tanh, **rest):
    def score(row, params, h):
        return float(activation(row @ params["kernel"] + params["bias"] + (0 if h is None else h @ params["context"])))

    return weighted(score, **rest)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def oracles():
    from tests.support.oracle_packages import F, torch

    return {
        "torch: Raffel and Ellis": witness(
            lambda x, w, *p: attention.feed_forward_pool(x, *p, w)[0],
            lambda z, w, b: torch.softmax(torch.tanh(z @ w + b), 0) @ z,
            QUERY,
            NUMBER,
        ),
        "torch: exp(σ(wx + vh + b)) / Σ": witness(
            built("feed_forward(activation=sigmoid, context=last)", "kernel", "bias", "context"),
            lambda z, w, b, v: F.normalize(torch.exp(torch.sigmoid(z @ w + z[-1] @ v + b)), p=1, dim=0) @ z,
            QUERY,
            NUMBER,
            draw(7, D),
        ),
    }


CASES = (
    PoolingCase("feed_forward", reference(), D + 1),
    PoolingCase("feed_forward(normalizer=entmax15)", reference(normalize=normalizers.entmax15), D + 1),
    PoolingCase(
        "feed_forward(activation=sigmoid, context=final)", reference(sigmoid, context="final"), 2 * D + 1, ordered=True
    ),
)
ROW = Row(
    "feed_forward",
    {"activation": "sigmoid", "context": ("last", "final"), "normalizer": "sparsemax"},
    PoolingEvidence(
        CASES,
        oracles,
        widths={"feed_forward(context=final)": "context=final .* got 7 channels"},
        errors={"feed_forward(activation=relu)": "wants one of 'tanh', 'sigmoid'"},
    ),
)


def test_it_is_bounded():
    """No position weighs more than e² times another with tanh, or e times with σ."""
    for activation, most in (("tanh", math.e**2), ("sigmoid", math.e)):
        x = 100 * states()[:, :1]
        _, weights = attention.feed_forward_pool(x, jnp.ones(1), jnp.zeros(()), jnp.asarray(VALID), activation=activation)
        np.testing.assert_allclose(weights[:3].max() / weights[:3].min(), most, rtol=1e-3)
