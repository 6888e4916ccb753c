"""Evidence of symbols that change their order."""

from tests.support.evidence import SourceCase, SourceEvidence
from tests.support.row import Row
from tests.support.sources import OTHER_SYMBOLS, SYMBOLS

SPEC = f"reverse({SYMBOLS})"
ROW = Row(SPEC, OTHER_SYMBOLS, SourceEvidence((SourceCase(SPEC, lambda text: text[::-1]),)))
