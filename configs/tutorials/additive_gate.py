"""What tutorials call additive attention: x + w⊙x with w = σ(Wx + b), a softmax over the result, a linear layer.

x is the mean of the embeddings. Nothing in it looks at two tokens at once: it is a gate, not attention.

Command:  python train.py --config=configs/tutorials/additive_gate.py
Variants: without the softmax over the result
          --config.model.head_softmax=False
          with self-attention before it, of one head, of four heads, and masked
          --config.model.encoder=bare --config.model.mixer='attention(heads=1)' --config.training.learning_rate=0.005
          --config.model.encoder=bare --config.model.mixer='attention(heads=4)' --config.training.learning_rate=0.005
          --config.model.encoder=bare --config.model.mixer='attention(heads=4)' --config.model.mask=causal
          --config.training.learning_rate=0.005
Offline:  --config.data.source="trec6(path='$ATTENTION_DATA_DIR/trec6')" reads a local copy
Hardware: 2 CPU cores
Time:     55 seconds of training for the five seeds, on cores that others used too
Score:    84.1 ± 1.2 on test (95 % Student-t interval); docs/tutorials.md has the variants and the slips
"""

from typing import Any

import attention


def get_config() -> Any:
    config = attention.base_config("tutorials/transformer")
    config.model.encoder = "embeddings"
    config.model.encoding = "none"
    config.model.pooling = "mean"
    config.model.head_gate = "residual_input"
    config.model.head_softmax = True
    config.model.embedding_init = 0.05
    config.training.learning_rate = 1e-2
    return config
