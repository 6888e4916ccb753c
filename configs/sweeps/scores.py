"""Six ways of comparing a query with a key, on TREC-6.

Command:  python sweep.py --config=configs/sweeps/scores.py
Offline:  --config.data.source="trec6(path='$ATTENTION_DATA_DIR/trec6')" reads a local copy
Hardware: 2 CPU cores
Time:     7 minutes on one core, beside another sweep
Verdict:  dot -11.8 points, general -11.7 and l2 -5.2 are worse than scaled_dot; additive and cosine are not
          distinguishable from it
"""

from typing import Any

import attention
from attention.lab import grid, plan


def get_config() -> Any:
    config = attention.base_config("sweeps/encodings")
    config.model.encoding = "sinusoidal"
    config.seeds = (0, 1, 2, 3, 4)
    scores = ["scaled_dot", "dot", "general", "additive", "cosine", "l2"]
    config.sweep = plan.section(grid.param("model.score", scores), baseline="scaled_dot")
    return config
