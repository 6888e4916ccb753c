"""Film reviews by pieces of words (BPE, 4,096 of them, upper and lower case told apart), as one stream.

Command:  python train.py --config=configs/lm/imdb.py
Offline:  --config.data.source="imdb(path='$ATTENTION_DATA_DIR/imdb')" reads a local copy
Hardware: 2 CPU cores
Time:     13 minutes of processor time for the updates, and about as long again for the nine million tokens of test
Score:    4.722 nats per token of test, 1.877 bits per byte (seed 0); Kneser-Ney counting has
          4.108 and 1.633, to which a third of an epoch loses
"""

from typing import Any

import attention


def get_config() -> Any:
    config = attention.base_config()
    config.task = "lm"
    config.data.source = "imdb"
    config.data.tokenizer = "bpe(size=4096, lowercase=False)"
    config.data.max_length = 128
    config.model.encoder = "transformer(layers=2)"
    config.model.mixer = "attention(heads=4)"
    config.model.encoding = "rope"
    config.model.mask = "causal"
    config.model.dim = 128
    config.model.tied = True
    config.training.steps = 1500  # 3 million tokens, less than half of train
    config.training.batch_size = 16
    config.training.optimizer = "muon"
    config.training.learning_rate = 0.02
    config.training.dropout = 0.0
    config.training.eval_every = 750
    return config
