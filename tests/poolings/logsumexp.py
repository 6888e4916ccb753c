"""Evidence of the log of the mean exponential."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import attention
from tests.support.evidence import PoolingCase, PoolingEvidence
from tests.support.poolings import VALID, plain, states, witness
from tests.support.row import Row


def reference(t):
    """By the definition; the tests' numbers do not overflow."""
    return plain(lambda rows: np.log(sum(np.exp(t * row) for row in rows) / len(rows)) / t)


def oracles():
    from tests.support.oracle_packages import torch

    def sharp(t):
        theirs = lambda z: (torch.logsumexp(t * z, 0) - math.log(len(z))) / t
        return witness(lambda x, w: attention.logsumexp_pool(x, w, t=t), theirs)

    return {
        "torch.logsumexp, t = 0.1": sharp(0.1),
        "torch.logsumexp, t = 1.0": sharp(1.0),
        "torch.logsumexp, t = 10.0": sharp(10.0),
    }


ROW = Row(
    "logsumexp",
    {"t": "5"},
    PoolingEvidence(
        (PoolingCase("logsumexp", reference(1.0)), PoolingCase("logsumexp(t=5)", reference(5.0))),
        oracles,
        errors={"logsumexp(t=0)": "t must be a finite number > 0.*got 0.0"},
    ),
)


def pool(x, t):
    return attention.logsumexp_pool(x, jnp.asarray(VALID), t=t)


@pytest.mark.parametrize("t", [1e-6, 1e-4, 1e-2])
def test_small_t_is_the_mean(t):
    """mean + t·variance/2 + O(t²): the second term is seen too, which a plain log of float32 would lose."""
    rows = np.float64(states()[:3])
    np.testing.assert_allclose(pool(states(), t), rows.mean(0) + t * rows.var(0) / 2, atol=2e-7 + t**2)


def test_large_t_is_the_maximum():
    """Less log(3)/t, for a maximum of 3 positions that is alone; nothing overflows."""
    x = 100 * states()
    for t in (1e3, 1e6):
        np.testing.assert_allclose(pool(x, t), x[:3].max(0) - math.log(3) / t, rtol=1e-6)
    for scale in (1e-30, 1e30):
        assert np.isfinite(pool(scale * x, 1.0)).all()


def test_one_of_many():
    """One of 100000 positions stands out: the mean of the exponentials is near 0, where log1p of a difference would be lost."""
    x = jnp.zeros((100_000, 1)).at[7].set(100.0)
    np.testing.assert_allclose(attention.logsumexp_pool(x), [100 - math.log(1e5)], rtol=1e-6)


def test_the_gradient_is_a_softmax():
    for t in (1e-3, 1.0, 30.0):
        gradient = jax.grad(lambda x, t=t: jnp.sum(pool(x, t)))(states())
        weights = np.exp(t * np.float64(states()[:3] - states()[:3].max(0)))
        np.testing.assert_allclose(gradient[:3], weights / weights.sum(0), atol=1e-6)
        np.testing.assert_array_equal(gradient[3], 0)
