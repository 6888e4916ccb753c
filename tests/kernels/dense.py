"""Evidence of the dense kernel: ``tests/test_attend.py`` compares it with plain loops."""

from tests.support.evidence import KernelEvidence
from tests.support.row import Row

ROW = Row("dense", {}, KernelEvidence(reference=True))
