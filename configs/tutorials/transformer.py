"""TREC-6 with 1,000 words and a small transformer: what the tutorials' models stand beside, and what they start from.

Two blocks of width 64 with 4 heads, the defaults of ``configs/base.py``. The other configs of this folder take the data, the
vocabulary, the width and the training from here, and change the model.

Command:  python train.py --config=configs/tutorials/transformer.py
Offline:  --config.data.source="trec6(path='$ATTENTION_DATA_DIR/trec6')" reads a local copy
Hardware: 2 CPU cores
Time:     588 seconds of training for the five seeds, on cores that others used too
Score:    85.1 ± 0.6 on test (95 % Student-t interval); docs/tutorials.md has the variants and the slips
"""

from typing import Any

import attention


def get_config() -> Any:
    config = attention.base_config()
    config.seeds = (0, 1, 2, 3, 4)
    config.data.source = "trec6"
    config.data.tokenizer = "words(max_size=1000)"
    config.data.max_length = 40
    config.data.buckets = 2
    config.model.embedding_init = 0.25
    config.training.steps = 600
    config.training.eval_every = 50
    config.training.learning_rate = 2e-3
    config.training.ema_decay = 0.98
    config.training.dropout = 0.3
    return config
