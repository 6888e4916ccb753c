"""Evidence of the mean."""

import jax.numpy as jnp
import numpy as np

import attention
from tests.support.evidence import PoolingCase, PoolingEvidence
from tests.support.poolings import plain, witness
from tests.support.row import Row


def oracles():
    from tests.support.oracle_packages import F

    return {
        "torch.mean": witness(lambda x, w: attention.mean_pool(x, w), lambda z: z.mean(0)),
        "torch adaptive_avg_pool1d": witness(
            lambda x, w: attention.mean_pool(x, w), lambda z: F.adaptive_avg_pool1d(z.T[None], 1)[0, :, 0]
        ),
    }


ROW = Row("mean", {}, PoolingEvidence((PoolingCase("mean", plain(lambda rows: sum(rows) / len(rows))),), oracles))


def test_many_in_low_precision():
    """Summed in float32: 1000 ones in bfloat16 would stop at 256."""
    np.testing.assert_array_equal(attention.mean_pool(jnp.ones((1000, 1), jnp.bfloat16)), [1.0])
