"""The normalizers with exact zeros once more on SST-2, each with the learning rate that suits it, by the same search for all.

Command:  python sweep.py --config=configs/sweeps/normalizers_searched.py
Offline:  --config.data.source="sst2(path='$ATTENTION_DATA_DIR/sst2')" reads a local copy
Hardware: 2 CPU cores
Time:     11 minutes on one core, beside another sweep
Verdict:  sparsemax -1.4 points is worse than softmax, entmax15 -0.8 not distinguishable from it: most of what they lose
          at one learning rate for all is the learning rate
"""

from typing import Any

import attention
from attention.lab import grid, plan


def get_config() -> Any:
    config = attention.base_config("sweeps/normalizers")
    config.sweep = plan.section(
        grid.param("model.normalizer", ["softmax", "sparsemax", "entmax15"]),
        baseline="softmax",
        search={"training.learning_rate": "log(5e-4, 2e-2)"},
        trials=8,
        halvings=2,
    )
    return config
