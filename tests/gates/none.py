"""Evidence of no gate."""

from tests.support.evidence import GateCase, GateEvidence
from tests.support.row import Row

ROW = Row("none", {}, GateEvidence((GateCase("none", lambda x, own: x, lambda D: 0, None, lambda D: {}),)))
