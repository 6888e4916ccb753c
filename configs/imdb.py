"""IMDB: whether a film review is positive.

Words and pairs of words, embedded and averaged.

Command:  python train.py --config=configs/imdb.py
Offline:  --config.data.source="imdb(path='$ATTENTION_DATA_DIR/imdb')" reads a local copy
Hardware: 2 CPU cores
Time:     60 seconds of training for the three seeds
Score:    90.6 ± 0.1 on test (95 % Student-t interval)
"""

from typing import Any

import attention


def get_config() -> Any:
    config = attention.base_config()
    config.seeds = (0, 1, 2)
    config.data.source = "imdb"
    config.data.tokenizer = "words(ngrams=2, max_size=200000)"
    config.data.max_length = 1000  # words and pairs
    config.model.encoder = "embeddings"
    config.model.encoding = "none"
    config.model.embedding_init = 0.1
    config.model.dim = 32
    config.training.steps = 0
    config.training.epochs = 3
    config.training.eval_every = 100
    config.training.learning_rate = 3e-3
    config.training.dropout = 0.3
    return config
