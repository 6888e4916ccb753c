"""Evidence of the sum."""

import attention
from tests.support.evidence import PoolingCase, PoolingEvidence
from tests.support.poolings import plain, witness
from tests.support.row import Row


def oracles():
    return {"torch.sum": witness(lambda x, w: attention.sum_pool(x, w), lambda z: z.sum(0))}


ROW = Row("sum", {}, PoolingEvidence((PoolingCase("sum", plain(sum)),), oracles))
