"""The three steps score, softmax, sum: states are scored by dot products, and the softmax of the scores weighs them.

h_t = e_t + p_t with p_t = sin(t / 10000^½) + cos(t / 10000^¾) in every channel; each state is scored with itself,
s_t = h_t·h_t; α = softmax over positions of s, y = Σ_t α_t h_t. Three orthonormal states weigh a third each.

Command:  python train.py --config=configs/tutorials/score_softmax_sum.py
Variants: the misprint s_t / Σ_k s_k, without the exponential
          --config.model.pooling='query(q=self, scaled=False, normalizer=sum_norm)'
          every state scored with the last one
          --config.model.pooling='query(q=last, scaled=False)'
          every state scored with every other, and the mean of the sums
          --config.model.encoder=bare --config.model.mixer='attention(heads=1, projections=none)' --config.model.score=dot
          --config.model.pooling=mean
Offline:  --config.data.source="trec6(path='$ATTENTION_DATA_DIR/trec6')" reads a local copy
Hardware: 2 CPU cores
Time:     92 seconds of training for the five seeds, on cores that others used too
Score:    75.2 ± 2.1 on test (95 % Student-t interval); docs/tutorials.md has the variants and the slips
"""

from typing import Any

import attention


def get_config() -> Any:
    config = attention.base_config("tutorials/transformer")
    config.model.encoder = "embeddings"
    config.model.encoding = "sin_cos_sum"
    config.model.pooling = "query(q=self, scaled=False)"
    config.model.embedding_init = 0.05
    config.training.learning_rate = 5e-3
    return config
