"""ListOps: nested MIN, MAX, MED and SM over digits. The default of train.py.

Command:  python train.py
Hardware: 2 CPU cores
Time:     to be measured
Score:    to be measured
"""

from typing import Any

from configs import base


def get_config() -> Any:
    config = base.get_config()
    config.data.source = "listops"
    config.data.max_length = 50
    config.model.encoder = "transformer"
    config.model.dim = 64
    config.training.steps = 3000
    config.training.batch_size = 128
    return config
