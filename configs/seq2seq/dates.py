"""Dates as people write them to year-month-day, by two LSTMs that read letters and one that attends to what they have read.

The alignment model of Bahdanau et al. 2014 (arXiv 1409.0473): additive scores of the state so far with the source's states.

Command:  python train.py --config=configs/seq2seq/dates.py
Others:   --config.model.encoder=transformer --config.model.decoder=transformer --config.model.score=scaled_dot
Hardware: 2 CPU cores
Time:     a minute of training
Score:    100 % of the test texts written exactly (seeds 0, 1, 2; with transformers too)
"""

from typing import Any

import attention


def get_config() -> Any:
    config = attention.base_config()
    config.task = "seq2seq"
    config.data.source = "dates"
    config.data.tokenizer = "characters"
    config.data.max_length = 32
    config.data.buckets = 3
    config.model.encoder = "bilstm"
    config.model.encoding = "none"
    config.model.decoder = "recurrent"
    config.model.score = "additive"
    config.model.dim = 64
    config.training.steps = 1200
    config.training.eval_every = 300
    config.training.learning_rate = 3e-3
    config.training.dropout = 0.0
    return config
