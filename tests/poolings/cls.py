"""Evidence of the token of the pooling's own."""

import attention
from tests.support.evidence import PoolingCase, PoolingEvidence
from tests.support.poolings import texts
from tests.support.row import Row
from tests.support.witness import Witness


def oracles():
    return {"torch: x[:, 0]": Witness(attention.cls_pool, lambda x: x[:, 0], (texts()[0],))}


CASE = PoolingCase("cls", lambda x, valid, params: (x[0], None, 0.0), ordered=True)
ROW = Row("cls", {}, PoolingEvidence((CASE,), oracles, tokens=1))
