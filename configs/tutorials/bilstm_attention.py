"""A BiLSTM, attention with a sigmoid inside the exponential, a dense layer with relu, a softmax over the classes.

The 1,000 most frequent words, embeddings of 64, 64 units in either direction; s_t = σ(w·h_t + v·h + b) with h the final states
of the two directions, α_t = exp(s_t) / Σ_k exp(s_k), y = Σ_t α_t h_t; 64 units with relu.

Command:  python train.py --config=configs/tutorials/bilstm_attention.py
Variants: a mean in place of the attention
          --config.model.pooling=mean
Offline:  --config.data.source="trec6(path='$ATTENTION_DATA_DIR/trec6')" reads a local copy
Hardware: 2 CPU cores
Time:     288 seconds of training for the five seeds, on cores that others used too
Score:    86.2 ± 0.4 on test (95 % Student-t interval); docs/tutorials.md has the variants and the slips
"""

from typing import Any

import attention


def get_config() -> Any:
    config = attention.base_config("tutorials/transformer")
    config.data.tokenizer = "words(max_size=1002)"  # 1,000 words, padding and the unknown word
    config.model.encoder = "bilstm(hidden=64)"
    config.model.encoding = "none"
    config.model.pooling = "feed_forward(activation=sigmoid, context=final)"
    config.model.head_hidden = 64
    return config
