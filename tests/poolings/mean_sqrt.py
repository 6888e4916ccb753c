"""Evidence of the sum over the root of the length."""

import math

import jax.numpy as jnp
import numpy as np

import attention
from tests.support.evidence import PoolingCase, PoolingEvidence
from tests.support.helpers import normal
from tests.support.poolings import VALID, plain, states, witness
from tests.support.row import Row


def oracles():
    return {"torch: Σ x / √n": witness(lambda x, w: attention.mean_sqrt_pool(x, w), lambda z: z.sum(0) / math.sqrt(len(z)))}


CASE = PoolingCase("mean_sqrt", plain(lambda rows: sum(rows) / math.sqrt(len(rows))))
ROW = Row("mean_sqrt", {}, PoolingEvidence((CASE,), oracles))


def test_it_is_the_mean_by_the_root_of_the_length():
    """And keeps the variance of independent states."""
    x, where = states(), jnp.asarray(VALID)
    wanted = math.sqrt(3) * attention.mean_pool(x, where)
    np.testing.assert_allclose(attention.mean_sqrt_pool(x, where), wanted, atol=1e-6)
    pooled = attention.mean_sqrt_pool(normal(1, 2000, 50, 4))
    np.testing.assert_allclose(pooled.std(), 1.0, atol=0.03)
