"""TREC-6 by a convolutional network: phrases of three to five words, and of each detector the place where it fires most.

Kim's network (arXiv 1408.5882) from scratch, whose published score is 91.2.

Command:  python train.py --config=configs/cnn_trec6.py
Offline:  --config.data.source="trec6(path='$ATTENTION_DATA_DIR/trec6')" reads a local copy
Hardware: 2 CPU cores
Time:     105 seconds of training for the three seeds, on a machine that others used too
Score:    90.7 ± 1.5 on test (95 % Student-t interval)
"""

from typing import Any

import attention


def get_config() -> Any:
    config = attention.base_config()
    config.seeds = (0, 1, 2)
    config.data.source = "trec6"
    config.data.tokenizer = "words(min_count=2, lowercase=False)"
    config.data.max_length = 40
    config.data.buckets = 2
    config.model.encoder = "cnn"
    config.model.encoding = "none"
    config.model.embedding_init = 0.05
    config.model.pooling = "max"
    config.model.dim = 128
    config.training.steps = 600
    config.training.eval_every = 50
    config.training.learning_rate = 1e-3
    config.training.ema_decay = 0.98
    config.training.dropout = 0.3
    return config
