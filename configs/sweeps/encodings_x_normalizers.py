"""Three encodings with three normalizers, every pair of them, on TREC-6: does what positions do depend on the weights?

Command:  python sweep.py --config=configs/sweeps/encodings_x_normalizers.py
Offline:  --config.data.source="trec6(path='$ATTENTION_DATA_DIR/trec6')" reads a local copy
Hardware: 2 CPU cores
Time:     10 minutes on one core, beside another sweep
Verdict:  nothing is distinguishable from none with softmax at five seeds, and no interaction either
"""

from typing import Any

import attention
from attention.lab import grid, plan


def get_config() -> Any:
    config = attention.base_config("sweeps/encodings")
    config.seeds = (0, 1, 2, 3, 4)
    table = grid.product(
        grid.param("model.encoding", ["none", "sinusoidal", "rope"]),
        grid.param("model.normalizer", ["softmax", "sparsemax", "sigmoid"]),
    )
    config.sweep = plan.section(table, baseline="none, softmax")
    return config
