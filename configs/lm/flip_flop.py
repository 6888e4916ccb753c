"""One bit of memory: what was written last, with much to be ignored since; also where that is long ago or all is crowded.

Command:  python train.py --config=configs/lm/flip_flop.py --workdir=runs/flip_flop
          python eval.py --workdir=runs/flip_flop --split=sparse (and --split=dense)
Hardware: 2 CPU cores
Time:     68 seconds, of which 50 are training
Score:    wrong bits of test 0.00 %, of sparse 10.74 %, of dense 0.00 %; texts without a wrong bit: 100 % of 128 words, 81 % of
          257 to 320, 0 % beyond 576 (seed 0)
"""

from typing import Any

import attention


def get_config() -> Any:
    config = attention.base_config()
    config.task = "lm"
    config.data.source = "flip_flop(length=128)"
    config.data.max_length = 128
    config.data.buckets = 1
    config.model.encoder = "transformer(layers=2)"
    config.model.mixer = "attention(heads=8)"
    config.model.mask = "causal"
    config.model.encoding = "rope"
    config.training.steps = 1000
    config.training.batch_size = 16
    config.training.learning_rate = 3e-3
    config.training.dropout = 0.0
    config.training.eval_every = 250
    return config
