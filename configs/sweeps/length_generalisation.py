"""Six encodings on `order`, trained on texts of up to 40 symbols and measured up to 200: which hold beyond what they have seen?

Command:  python sweep.py --config=configs/sweeps/length_generalisation.py
Hardware: 2 CPU cores
Time:     18 minutes on one core, beside another sweep
Verdict:  beyond the training length shaw (99.9 %), alibi (98.3), rope (82.3) and t5 (81.1) are better than
          sinusoidal (54.2); learned has no positions there
"""

from typing import Any

import attention
from attention.lab import grid, plan


def get_config() -> Any:
    config = attention.base_config("length")
    config.seeds = (0, 1, 2, 3, 4)
    config.training.eval_every = 100
    encodings = ["sinusoidal", "learned", "rope", "alibi(form=split_heads)", "t5", "shaw"]
    variants = grid.param("model.encoding", encodings)
    config.sweep = plan.section(variants, baseline="sinusoidal", metric=plan.BEYOND)
    return config
