"""Shakespeare by characters: 1.1 million of them, in windows of 256.

Command:  python train.py --config=configs/lm/shakespeare.py --config.data.source=input.txt
Data:     github.com/karpathy/char-rnn, data/tinyshakespeare/input.txt; test is its last 10 %, validation 5 % of the rest
AdamW:    --config.training.optimizer=adamw --config.training.learning_rate=3e-3
Hardware: 2 CPU cores
Time:     437 seconds, of which 414 are training
Score:    1.632 ± 0.020 nats per character of test (three seeds, 95 % Student-t interval), windows side by side; AdamW 1.666
          ± 0.034; Kneser-Ney counting 1.677
"""

from typing import Any

import attention


def get_config() -> Any:
    config = attention.base_config()
    config.task = "lm"
    config.data.source = "text(path='$ATTENTION_DATA_DIR/tinyshakespeare/input.txt')"  # test: the last 10 %
    config.data.tokenizer = "characters"
    config.data.max_length = 256
    config.model.encoder = "transformer(layers=4)"
    config.model.mixer = "attention(heads=4)"
    config.model.mask = "causal"
    config.model.encoding = "rope"
    config.model.dim = 96
    config.training.steps = 6000
    config.training.batch_size = 4
    config.training.optimizer = "muon"
    config.training.learning_rate = 0.03
    config.training.weight_decay = 0.1
    config.training.dropout = 0.0
    config.training.eval_every = 1500
    return config
