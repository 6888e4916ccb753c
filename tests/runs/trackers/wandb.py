"""Evidence of W&B, whose offline files tests/plugs reads back."""

from tests.support.evidence import TrackerEvidence
from tests.support.row import Row

ROW = Row(
    "wandb",
    {"project": "'mine'", "entity": "'us'", "tags": "('a', 'b')"},
    TrackerEvidence(
        errors={
            "wandb(project='')": "project wants a name",
            "wandb(project='a/b')": "without any of /",
            "wandb(projct='x')": "nearest: 'project'",
        }
    ),
)
