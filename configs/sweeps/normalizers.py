"""Six ways of turning scores into weights, on SST-2: does it matter for attention over the words of a review?

Command:  python sweep.py --config=configs/sweeps/normalizers.py
Offline:  --config.data.source="sst2(path='$ATTENTION_DATA_DIR/sst2')" reads a local copy
Hardware: 2 CPU cores
Time:     15 minutes on one core, beside another sweep
Verdict:  sparsemax -6.8 points and entmax15 -3.7 are worse than softmax at one learning rate for all; softmax1,
          sigmoid and relu are not distinguishable from it
"""

from typing import Any

import attention
from attention.lab import grid, plan


def get_config() -> Any:
    config = attention.base_config()
    config.seeds = tuple(range(10))
    config.data.source = "sst2"
    config.data.tokenizer = "words"
    config.data.max_length = 56
    config.data.buckets = 2
    config.model.encoder = "transformer(layers=1, mlp=2)"
    config.model.embedding_init = 0.1  # plain sinusoidal codes are larger than such words: see configs/sweeps/embedding_init.py
    config.model.dim = 64
    config.training.steps = 400
    config.training.warmup = 50
    config.training.learning_rate = 1e-3
    config.training.ema_decay = 0.98
    config.training.dropout = 0.4
    config.training.eval_every = 50
    normalizers = ["softmax", "sparsemax", "entmax15", "softmax1", "sigmoid", "pointwise(activation=relu)"]
    config.sweep = plan.section(grid.param("model.normalizer", normalizers), baseline="softmax")
    return config
