"""Six encodings on `order`, trained on texts of up to 40 symbols and measured up to 200: which hold beyond what they have seen?

Command:  python sweep.py --config=configs/sweeps/length_generalisation.py
Hardware: 2 CPU cores
Time:     TIME
Verdict:  VERDICT
"""

from typing import Any

from attention.lab import axes, plan
from configs import length


def get_config() -> Any:
    config = length.get_config()
    config.seeds = (0, 1, 2, 3, 4)
    config.training.eval_every = 100
    encodings = ["sinusoidal", "learned", "rope", "alibi(form=split_heads)", "t5", "shaw"]
    config.sweep = plan.section(axes.param("model.encoding", encodings), baseline="sinusoidal")
    return config
