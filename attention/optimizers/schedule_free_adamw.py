"""AdamW without a schedule: an average of the weights is evaluated, and gradients are taken between it and the last step.

::

  y = (1 - b1) z + b1 x                         the weights that are trained: gradients are taken there
  z <- z - eta (g / (sqrt(v_hat) + eps) + lambda y)
  x <- (1 - c) x + c z                          the weights that are evaluated; c = eta_max^2 / sum eta_max^2

It wants ``config.training.schedule=constant``, a learning rate above Adam's, and no average of weights beside its own.

Source: Defazio et al. 2024, "The Road Less Scheduled" (arXiv 2405.15682), algorithm 1.
"""

from typing import Any

import optax
from optax import contrib

from attention.optimizers._optimizer import Optimizer, fraction, positive

__all__: list[str] = []


def build(*, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8) -> Optimizer:
    """Schedule-free AdamW.

    Args:
      b1: share of the average in the weights that are trained, in (0, 1).
      b2: decay of the second moment, in [0, 1).
      eps: added to its root, above 0.
    """
    fraction(b1=b1, b2=b2)
    positive(b1=b1, eps=eps)

    def make(learning_rate: Any, weight_decay: Any, mask: Any) -> optax.GradientTransformation:
        steps = optax.chain(
            optax.scale_by_rms(decay=b2, eps=eps, eps_in_sqrt=False, bias_correction=True),
            optax.add_decayed_weights(weight_decay, mask),
            optax.scale_by_learning_rate(learning_rate),
        )
        return contrib.schedule_free(steps, learning_rate, b1=b1)

    return Optimizer(make, evaluated=contrib.schedule_free_eval_params)
