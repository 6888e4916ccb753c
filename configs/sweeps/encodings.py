"""Eight ways of telling positions, on TREC-6: does knowing the order of the words help to say what a question asks for?

Command:  python sweep.py --config=configs/sweeps/encodings.py
Offline:  --config.data.source="trec6(path='$ATTENTION_DATA_DIR/trec6')" reads a local copy
Hardware: 2 CPU cores
Time:     18 minutes on one core, beside another sweep
Verdict:  sinusoidal +3.4 and learned +2.7 points over none, not distinguishable at ten seeds: on this test set
          seeds differ by 5 points
"""

from typing import Any

import attention
from attention.lab import grid, plan


def get_config() -> Any:
    config = attention.base_config()
    config.seeds = tuple(range(10))
    config.data.source = "trec6"
    config.data.tokenizer = "words"
    config.data.max_length = 40
    config.data.buckets = 2
    config.model.encoder = "transformer(layers=1, mlp=2)"
    config.model.embedding_init = 0.1  # plain sinusoidal codes are larger than such words: see configs/sweeps/embedding_init.py
    config.model.pooling = "max"
    config.model.dim = 64
    config.training.steps = 500
    config.training.warmup = 50
    config.training.learning_rate = 1e-3
    config.training.ema_decay = 0.98
    config.training.dropout = 0.3
    config.training.eval_every = 50
    encodings = ["none", "sinusoidal", "learned", "rope", "alibi", "t5", "kerple", "shaw"]
    config.sweep = plan.section(grid.param("model.encoding", encodings), baseline="none")
    return config
