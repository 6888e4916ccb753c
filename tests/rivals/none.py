"""Evidence of no rival."""

from tests.support.evidence import RivalEvidence
from tests.support.row import Row

ROW = Row("none", {}, RivalEvidence(errors={"none(size=3)": "unknown option 'size'; options of none: none"}))
