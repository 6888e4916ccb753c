"""The whole way in a minute: tiny ListOps, a tiny model, two members.

Command:  python train.py --config=configs/smoke.py
Hardware: 2 CPU cores
Time:     under a minute
Score:    36.7 ± 6.4 on test, the root operator gets 35.6; it shows that things work, not how well
"""

from typing import Any

import attention


def get_config() -> Any:
    config = attention.base_config()
    config.data.source = "listops(train=4000, validation=500, test=500, lengths=500, max_length=24, max_args=3)"
    config.data.max_length = 24
    config.data.buckets = 2
    config.model.encoder = "transformer(layers=1)"
    config.model.dim = 32
    config.training.steps = 1000
    config.training.warmup = 50
    config.training.learning_rate = 3e-3
    config.training.eval_every = 250
    config.seeds = (0, 1)
    return config
