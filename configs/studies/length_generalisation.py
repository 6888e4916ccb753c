"""Sixteen variants of positions on three tasks, trained on texts of up to 40 symbols and tested up to 200: five seeds each.

Command:  python -m studies.length_generalisation
Hardware: 2 CPU cores
Time:     an hour (116 minutes of CPU time)
Score:    docs/studies/length_generalisation.md
"""

from typing import Any

import attention

TASKS = ("order", "distance", "missing_duplicate")
# What a causal model knows of the text before a token is at the last one.
CAUSAL = {"mask": "causal", "pooling": "last"}
# Fields of ``config.model`` that each variant sets.
VARIANTS = {
    "none": {"encoding": "none"},
    "none, causal": {"encoding": "none", **CAUSAL},
    "sinusoidal": {"encoding": "sinusoidal"},
    "learned": {"encoding": "learned"},
    "randomized sinusoidal": {"encoding": "randomized(inner=sinusoidal, max_position=256)"},
    "rope": {"encoding": "rope"},
    "alibi": {"encoding": "alibi"},
    "alibi, asymmetric": {"encoding": "alibi(form=asymmetric)"},
    "alibi, split heads": {"encoding": "alibi(form=split_heads)"},
    "kerple": {"encoding": "kerple"},
    "fire, directed": {"encoding": "fire(directed=True)"},
    "t5": {"encoding": "t5"},
    "shaw": {"encoding": "shaw"},
    "transformer_xl": {"encoding": "transformer_xl"},
    "deberta": {"encoding": "deberta"},
    "cope, causal": {"encoding": "cope", **CAUSAL},
}


def get_config() -> Any:
    config = attention.base_config("length")
    config.seeds = (0, 1, 2, 3, 4)
    config.training.eval_every = 100
    return config
