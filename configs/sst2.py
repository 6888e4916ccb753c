"""SST-2: whether a sentence from a film review is positive.

Words and pairs of words, embedded and averaged, trained on the 6,920 sentences alone (no phrases).

Command:  python train.py --config=configs/sst2.py
Offline:  --config.data.source="sst2(path='$ATTENTION_DATA_DIR/sst2')" reads a local copy
Hardware: 2 CPU cores
Time:     42 seconds of training for the three seeds
Score:    81.9 ± 1.9 on test (95 % Student-t interval)
"""

from typing import Any

import attention


def get_config() -> Any:
    config = attention.base_config()
    config.seeds = (0, 1, 2)
    config.data.source = "sst2"
    config.data.tokenizer = "words(ngrams=2, max_size=60000)"
    config.data.max_length = 128  # words and pairs
    config.model.encoder = "embeddings"
    config.model.encoding = "none"
    config.model.embedding_init = 0.1
    config.model.dim = 64
    config.training.steps = 1200
    config.training.eval_every = 50
    config.training.learning_rate = 1e-3
    config.training.ema_decay = 0.98
    config.training.dropout = 0.5
    return config
