"""Evidence of the mean by rank."""

import jax.numpy as jnp
import numpy as np

import attention
from tests.support.evidence import PoolingCase, PoolingEvidence
from tests.support.poolings import plain, witness
from tests.support.row import Row


@plain
def reference(rows):
    ranks = range(1, len(rows) + 1)
    return sum(rank * row for rank, row in zip(ranks, rows)) / sum(ranks)


def oracles():
    from tests.support.oracle_packages import F, torch

    theirs = lambda z: F.normalize(torch.arange(1, len(z) + 1, dtype=z.dtype), p=1, dim=0) @ z
    return {"torch: ranks over their sum": witness(lambda x, w: attention.weighted_mean_pool(x, w), theirs)}


ROW = Row("weighted_mean", {}, PoolingEvidence((PoolingCase("weighted_mean", reference, ordered=True),), oracles))


def test_many_in_low_precision():
    """Summed in float32: 1000 ones in bfloat16 would stop at 256."""
    np.testing.assert_array_equal(attention.weighted_mean_pool(jnp.ones((1000, 1), jnp.bfloat16)), [1.0])


def test_three_tokens_by_hand():
    """Weights 1/6, 2/6, 3/6 wherever the tokens stand; constants stay."""
    wanted = np.array([1, 2, 3]) / 6 @ np.array([4.0, -1.0, 8.0])
    for where in ([True, True, True, False, False], [False, True, False, True, True]):
        where = jnp.array(where)
        x = jnp.zeros(5).at[jnp.flatnonzero(where)].set(jnp.array([4.0, -1.0, 8.0]))[:, None]
        np.testing.assert_allclose(attention.weighted_mean_pool(x, where), [wanted], atol=1e-6)
        np.testing.assert_allclose(attention.weighted_mean_pool(0 * x + 0.7, where), [0.7], atol=1e-6)
