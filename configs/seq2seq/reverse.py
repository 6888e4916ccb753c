"""Symbols to be written from the last to the first, by a transformer that reads and one that writes.

Command:  python train.py --config=configs/seq2seq/reverse.py
Others:   --config.data.source=copy and --config.data.source=sort, with the same model
Hardware: 2 CPU cores
Time:     a minute and a half of training
Score:    100 % of the test texts written exactly (seeds 0, 1, 2; copy and sort too)
"""

from typing import Any

import attention


def get_config() -> Any:
    config = attention.base_config()
    config.task = "seq2seq"
    config.data.source = "reverse"
    config.data.max_length = 24
    config.data.buckets = 3
    config.model.encoder = "transformer"
    config.model.decoder = "transformer"
    config.model.dim = 64
    config.training.steps = 2000
    config.training.eval_every = 500
    config.training.learning_rate = 3e-3
    config.training.dropout = 0.0
    return config
