"""Muon: the momentum of a matrix, made orthogonal; Adam for everything else.

::

  m <- beta m + (1 - beta) g
  direction = sqrt(max(1, columns / rows)) NewtonSchulz(u),   u = m, with nesterov beta m + (1 - beta) g, both without bias

Five steps of the Newton-Schulz iteration ``x <- 3.4445 x - 4.775 x x' x + 2.0315 (x x')^2 x`` bring the singular values of a
matrix near 1. Columns are outputs, as in Flax. It acts on every leaf of two axes, embedding and head among them, where Jordan
advises Adam. With ``nesterov``, Adam looks ahead too.

Source: Jordan 2024, "Muon: An optimizer for hidden layers in neural networks" (kellerjordan.github.io/posts/muon).
"""

from typing import Any

import optax
from optax import contrib

from attention.optimizers._optimizer import Optimizer, fraction, positive

__all__: list[str] = []


def build(*, beta: float = 0.95, nesterov: bool = True, iterations: int = 5, b1: float = 0.9, b2: float = 0.999) -> Optimizer:
    """Muon.

    Args:
      beta: decay of the momentum, in [0, 1).
      nesterov: whether the step looks ahead.
      iterations: of Newton and Schulz, above 0.
      b1, b2: of Adam, for what is no matrix, in [0, 1).
    """
    fraction(beta=beta, b1=b1, b2=b2)
    positive(iterations=iterations)

    def make(learning_rate: Any, weight_decay: Any, mask: Any) -> optax.GradientTransformation:
        steps = contrib.muon(1.0, beta=beta, nesterov=nesterov, ns_steps=iterations, adam_b1=b1, adam_b2=b2)
        decay = optax.add_decayed_weights(weight_decay, mask)
        return optax.chain(steps, optax.scale(-1.0), decay, optax.scale_by_learning_rate(learning_rate))

    return Optimizer(make)
