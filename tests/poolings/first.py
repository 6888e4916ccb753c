"""Evidence of the first state."""

import jax.numpy as jnp

import attention
from tests.support.evidence import PoolingCase, PoolingEvidence
from tests.support.poolings import plain, witness
from tests.support.row import Row


def oracles():
    return {"torch: the first valid": witness(lambda x, w: attention.first_pool(x, w), lambda z: z[0])}


ROW = Row("first", {}, PoolingEvidence((PoolingCase("first", plain(lambda rows: rows[0]), ordered=True),), oracles))


def test_padding_may_stand_anywhere():
    x, where = jnp.arange(5.0)[:, None], jnp.array([False, True, False, True, False])
    assert attention.first_pool(x, where) == 1.0
