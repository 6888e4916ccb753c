"""Evidence of the causal mask."""

from tests.support.evidence import MaskCase, MaskEvidence
from tests.support.masks import T
from tests.support.row import Row

CASE = MaskCase("causal", lambda p: p.j <= p.i, {48, 90})
ROW = Row("causal", {}, MaskEvidence((CASE,), {"causal": T * (T + 1) // 2}, {"causal & full": "causal"}))
