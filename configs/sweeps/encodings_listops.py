"""Eight ways of telling positions, on short ListOps, where the order of the digits and the nesting decide the answer.

Command:  python sweep.py --config=configs/sweeps/encodings_listops.py
Hardware: 2 CPU cores
Time:     41 minutes on one core, beside another sweep
Verdict:  all seven are better than none: shaw +20.0 points, rope +18.5, t5 +18.0, sinusoidal +16.6, learned +12.0,
          alibi and kerple, blind to direction, +8.6
"""

from typing import Any

import attention
from attention.lab import grid, plan


def get_config() -> Any:
    config = attention.base_config()
    config.seeds = tuple(range(10))
    config.data.source = "listops(train=20000, validation=1000, test=2000, lengths=1000, max_length=24, max_args=3)"
    config.data.max_length = 24
    config.data.buckets = 2
    config.model.encoder = "transformer(layers=2, mlp=2)"
    config.model.dim = 48
    config.training.steps = 2000
    config.training.batch_size = 64
    config.training.learning_rate = 3e-3
    config.training.dropout = 0.0
    config.training.eval_every = 500
    encodings = ["none", "sinusoidal", "learned", "rope", "alibi", "t5", "kerple", "shaw"]
    config.sweep = plan.section(grid.param("model.encoding", encodings), baseline="none")
    return config
