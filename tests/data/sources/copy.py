"""Evidence of symbols that stay."""

from tests.support.evidence import SourceCase, SourceEvidence
from tests.support.row import Row
from tests.support.sources import OTHER_SYMBOLS, SYMBOLS

SPEC = f"copy({SYMBOLS})"
ROW = Row(
    SPEC,
    OTHER_SYMBOLS,
    SourceEvidence(
        (SourceCase(SPEC, lambda text: text),),
        errors={
            "copy(train=0)": "train must be at least 1, got 0",
            "copy(min_length=9, max_length=8)": "want 1 <= min_length <= max_length, got 9 and 8",
        },
    ),
)
