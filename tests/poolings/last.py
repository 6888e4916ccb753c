"""Evidence of the last state."""

import jax.numpy as jnp

import attention
from tests.support.evidence import PoolingCase, PoolingEvidence
from tests.support.poolings import plain, witness
from tests.support.row import Row


def oracles():
    return {"torch: the last valid": witness(lambda x, w: attention.last_pool(x, w), lambda z: z[-1])}


ROW = Row("last", {}, PoolingEvidence((PoolingCase("last", plain(lambda rows: rows[-1]), ordered=True),), oracles))


def test_padding_may_stand_anywhere():
    x, where = jnp.arange(5.0)[:, None], jnp.array([False, True, False, True, False])
    assert attention.last_pool(x, where) == 3.0
