"""Seven ways of making one vector of a question's words, on TREC-6; nothing lies between the embeddings and the pooling.

Command:  python sweep.py --config=configs/sweeps/poolings.py
Offline:  --config.data.source="trec6(path='$ATTENTION_DATA_DIR/trec6')" reads a local copy
Hardware: 2 CPU cores
Time:     11 minutes on one core, beside another sweep
Verdict:  additive -3.9 points and structured -5.1 are worse than the mean; max +0.6 is not distinguishable
"""

from typing import Any

import attention
from attention.lab import grid, plan


def get_config() -> Any:
    config = attention.base_config("trec6")
    config.data.tokenizer = "words"
    config.data.max_length = 40
    config.training.steps = 400
    config.seeds = tuple(range(10))
    poolings = ["mean", "max", "mean_sqrt", "logsumexp", "additive", "query", "structured"]
    config.sweep = plan.section(grid.param("model.pooling", poolings), baseline="mean")
    return config
