"""Sinusoidal codes beside words that start small, on SST-2: does making the two alike in size repair what plain codes cost?

Command:  python sweep.py --config=configs/sweeps/embedding_init.py
Offline:  --config.data.source="sst2(path='$ATTENTION_DATA_DIR/sst2')" reads a local copy
Hardware: 2 CPU cores
Time:     about 3 minutes on one core that is idle
Verdict:  none 80.3 %, plain sinusoidal 1.2 points below it, scaled_words 0.4 above, learned_scale 0.0; none of it
          distinguishable at five seeds. With --config.model.embedding_init=1.0: none 74.5, -1.0, +0.4 and +0.1. On
          TREC-6 (configs/sweeps/encodings.py, the same variants and seeds) none 80.6, +4.5, +1.2 and +1.2, seeds 1.6 to 7.4
          apart: it repairs a loss where there is one, and is no gain by itself
"""

from typing import Any

from attention.lab import grid, plan
from configs.sweeps import normalizers


def get_config() -> Any:
    config = normalizers.get_config()
    config.seeds = tuple(range(5))
    encodings = ["none", "sinusoidal", "sinusoidal(scaled_words=True)", "sinusoidal(learned_scale=True)"]
    config.sweep = plan.section(grid.param("model.encoding", encodings), baseline="none")
    return config
