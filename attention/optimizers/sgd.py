"""Gradient descent with momentum.

::

  t <- momentum t + g,   direction = t,   with nesterov: momentum t + g

Source: Sutskever et al. 2013, "On the importance of initialization and momentum in deep learning", as in optax's ``trace``.
"""

import optax

from attention.optimizers._optimizer import Optimizer, decoupled, fraction

__all__: list[str] = []


def build(*, momentum: float = 0.9, nesterov: bool = False) -> Optimizer:
    """Gradient descent.

    Args:
      momentum: decay of the sum of gradients, in [0, 1); 0 for none.
      nesterov: whether the step looks ahead.
    """
    fraction(momentum=momentum)
    return decoupled(optax.trace(decay=momentum, nesterov=nesterov))
