"""Beyond the lengths of training: trained on texts of up to 40 symbols, measured up to 200.

Command:  python train.py --config=configs/length.py --config.data.source=distance --config.model.encoding=alibi
Hardware: 2 CPU cores
Time:     about a minute for one seed, on a machine busy with other work
Score:    order, 3 seeds, 400 updates: sinusoidal 100.0 up to length 40, 89.7 ± 5.8 at 41-60, 58.4 ± 7.1 at 81-100;
          rope 100.0, 99.5 and 87.2 ± 3.8; none and symmetric alibi at chance, for they have no direction
"""

from typing import Any

import attention


def get_config() -> Any:
    config = attention.base_config()
    # Also even_pairs, parity, cycle_navigation, modular_arithmetic, missing_duplicate, solve_equation, first_token, distance.
    config.data.source = "order"
    config.data.max_length = 40  # of training; the texts of the split `lengths` are longer and kept whole
    config.model.encoder = "transformer(layers=2, mlp=2)"
    config.model.encoding = "sinusoidal"
    config.model.dim = 64
    config.training.steps = 400
    config.training.batch_size = 128
    config.training.learning_rate = 2e-3
    config.training.dropout = 0.0
    config.training.eval_every = 200
    return config
