"""Evidence of TensorBoard's event files: in tests/training/test_following.py, and read by TensorBoard itself in tests/plugs."""

from tests.support.evidence import TrackerEvidence
from tests.support.row import Row

ROW = Row(
    "tensorboard",
    {"path": "'events'"},
    TrackerEvidence(
        local=True, errors={"tensorboard(folder='x')": "unknown option 'folder'", "tensorboard(path=3)": "wants a string"}
    ),
)
