"""Evidence of the mask that forbids nothing."""

from tests.support.evidence import MaskCase, MaskEvidence
from tests.support.masks import T
from tests.support.row import Row

ROW = Row("full", {}, MaskEvidence((MaskCase("full", lambda p: True, {90}),), {"full": T * T}))
