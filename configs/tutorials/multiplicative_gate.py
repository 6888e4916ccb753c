"""What tutorials call multiplicative attention: x⊙w with w = σ(Wx + b), a softmax over the result, a linear layer.

x is the mean of the embeddings. Nothing in it looks at two tokens at once: it is a gate, not attention.

Command:  python train.py --config=configs/tutorials/multiplicative_gate.py
Variants: without the softmax over the result
          --config.model.head_softmax=False
          with self-attention before it, of one head, of four heads, and masked: as in configs/tutorials/additive_gate.py
Offline:  --config.data.source="trec6(path='$ATTENTION_DATA_DIR/trec6')" reads a local copy
Hardware: 2 CPU cores
Time:     20 seconds of training for the five seeds, on cores that others used too
Score:    82.4 ± 1.5 on test (95 % Student-t interval); docs/tutorials.md has the variants and the slips
"""

from typing import Any

import attention


def get_config() -> Any:
    config = attention.base_config("tutorials/additive_gate")
    config.model.head_gate = "input"
    return config
