"""Evidence of Ray, which tests/cluster starts."""

from tests.support.evidence import ExecutorEvidence
from tests.support.row import Row

ROW = Row(
    "ray",
    {"address": "'head:6379'", "gpus": "0.5", "cpus": "2", "concurrent": "4"},
    ExecutorEvidence(
        lacks="module ray is not installed: pip install",
        errors={
            "ray(gpus=-1)": "gpus wants 0 or more, got -1",
            "ray(concurrent=0)": "concurrent wants 1 or more, got 0",
            "ray(adress='x')": "nearest: 'address'",
        },
    ),
)
