"""Evidence of the maximum."""

import jax
import jax.numpy as jnp
import numpy as np

import attention
from tests.support.evidence import PoolingCase, PoolingEvidence
from tests.support.poolings import plain, witness
from tests.support.row import Row


def oracles():
    from tests.support.oracle_packages import F

    return {
        "torch.amax": witness(lambda x, w: attention.max_pool(x, w), lambda z: z.amax(0)),
        "torch adaptive_max_pool1d": witness(
            lambda x, w: attention.max_pool(x, w), lambda z: F.adaptive_max_pool1d(z.T[None], 1)[0, :, 0]
        ),
    }


CASE = PoolingCase("max", plain(lambda rows: [max(channel) for channel in zip(*rows)]))
ROW = Row("max", {}, PoolingEvidence((CASE,), oracles))


def test_ties_share_the_gradient():
    gradient = jax.grad(lambda x: jnp.sum(attention.max_pool(x, jnp.array([True] * 3))))(jnp.array([[2.0], [2.0], [1.0]]))
    np.testing.assert_array_equal(gradient, [[0.5], [0.5], [0.0]])
