"""Evidence of symbols that are sorted."""

from tests.support.evidence import SourceCase, SourceEvidence
from tests.support.row import Row
from tests.support.sources import OTHER_SYMBOLS, SYMBOLS

SPEC = f"sort({SYMBOLS})"
ROW = Row(
    SPEC,
    OTHER_SYMBOLS,
    SourceEvidence(
        (SourceCase(SPEC, lambda text: " ".join(sorted(text.split()))),),
        errors={"sort(symbols=27)": "symbols must be 2 to 26, got 27"},
    ),
)
