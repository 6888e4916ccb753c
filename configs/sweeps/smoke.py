"""The whole laboratory in a minute: with positions and without, three seeds each, on tiny ListOps.

Command:  python sweep.py --config=configs/sweeps/smoke.py
Hardware: 2 CPU cores
Time:     under a minute
Verdict:  three seeds and so short a training show that things work, not which is better
"""

from typing import Any

import attention
from attention.lab import grid, plan


def get_config() -> Any:
    config = attention.base_config("smoke")
    config.data.source = "listops(train=4000, validation=500, test=500, max_length=24, max_args=3)"
    config.training.steps = 300
    config.training.eval_every = 100
    config.seeds = (0, 1, 2)
    config.sweep = plan.section(grid.param("model.encoding", ["none", "sinusoidal"]), baseline="none")
    return config
