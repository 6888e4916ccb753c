"""Shakespeare by characters."""

from typing import Any

import attention


def get_config() -> Any:
    config = attention.base_config()
    config.task = "lm"
    config.data.source = "text(path='$ATTENTION_DATA_DIR/tinyshakespeare/input.txt')"  # test: the last 10 %
    config.data.tokenizer = "characters"
    config.data.max_length = 128
    config.model.encoder = "transformer(layers=4)"
    config.model.mixer = "attention(heads=4)"
    config.model.mask = "causal"
    config.model.encoding = "rope"
    config.model.dim = 128
    config.training.steps = 3000
    config.training.batch_size = 16
    config.training.optimizer = "muon"
    config.training.learning_rate = 0.02
    config.training.dropout = 0.0
    config.training.eval_every = 500
    return config
