"""Evidence of MLflow, whose stores tests/plugs reads back."""

from tests.support.evidence import TrackerEvidence
from tests.support.row import Row

ROW = Row(
    "mlflow",
    {"uri": "'sqlite:///runs.db'", "experiment": "'mine'"},
    TrackerEvidence(errors={"mlflow(url='x')": "nearest: 'uri'", "mlflow(experiment=None)": "wants a string"}),
)
