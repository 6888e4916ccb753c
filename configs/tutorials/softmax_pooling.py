"""Attention without parameters: a word weighs as much as its embedding's channels sum to.

s_t = Σ_c x_tc, α = softmax over positions of s, y = Σ_t α_t x_t, and a linear layer with a softmax over the classes. Vocabulary
of 1,000, width 64.

Command:  python train.py --config=configs/tutorials/softmax_pooling.py
Variants: queries, keys and values of the embeddings, softmax(QKᵀ/√d) V, then the sum over positions
          --config.model.encoder=bare --config.model.mixer='attention(heads=1, projections=qkv)' --config.model.pooling=sum
Offline:  --config.data.source="trec6(path='$ATTENTION_DATA_DIR/trec6')" reads a local copy
Hardware: 2 CPU cores
Time:     22 seconds of training for the five seeds, on cores that others used too
Score:    76.9 ± 3.9 on test (95 % Student-t interval); docs/tutorials.md has the variants and the slips
"""

from typing import Any

import attention


def get_config() -> Any:
    config = attention.base_config("tutorials/transformer")
    config.model.encoder = "embeddings"
    config.model.encoding = "none"
    config.model.pooling = "query(q=ones, scaled=False)"
    config.model.embedding_init = 0.05
    config.training.learning_rate = 5e-3
    return config
