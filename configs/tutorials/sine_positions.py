"""Embeddings plus a sine of the position, one learned score per position, softmax over positions, weighted sum, linear layer.

x_t = e_t + p_t with p_t = sin(tπ / 2K) in every channel, K the longest text; s_t = w·x_t, α = softmax over positions of s,
y = Σ_t α_t x_t.

Command:  python train.py --config=configs/tutorials/sine_positions.py
Variants: sine and cosine of period d/2 in turn
          --config.model.encoding=sin_period_d
          pretrained vectors that stay as they are, from a file in the format of GloVe; python -m studies.vectors makes one
          --config.model.vectors=runs/tutorials/vectors.txt --config.model.frozen_embeddings=True
Offline:  --config.data.source="trec6(path='$ATTENTION_DATA_DIR/trec6')" reads a local copy
Hardware: 2 CPU cores
Time:     114 seconds of training for the five seeds, on cores that others used too
Score:    84.9 ± 0.9 on test (95 % Student-t interval); docs/tutorials.md has the variants and the slips
"""

from typing import Any

import attention


def get_config() -> Any:
    config = attention.base_config("tutorials/transformer")
    config.model.encoder = "embeddings"
    config.model.encoding = "sin_half_period"
    config.model.pooling = "query(scaled=False)"
    config.model.embedding_init = 0.05
    config.training.learning_rate = 5e-3
    return config
