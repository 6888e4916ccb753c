"""Evidence of no tracker."""

from tests.support.evidence import TrackerEvidence
from tests.support.row import Row

ROW = Row("none", {}, TrackerEvidence(shows=False, errors={"none(path='x')": "unknown option 'path'; options of none: none"}))
