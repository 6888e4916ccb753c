"""Lion: the sign of a mixture of momentum and gradient.

::

  direction = sign(b1 m + (1 - b1) g),   m <- b2 m + (1 - b2) g

Every weight moves by the learning rate, so that it wants one 3 to 10 times smaller than Adam's.

Source: Chen et al. 2023, "Symbolic Discovery of Optimization Algorithms" (arXiv 2302.06675), algorithm 2.
"""

import optax

from attention.optimizers._optimizer import Optimizer, decoupled, fraction

__all__: list[str] = []


def build(*, b1: float = 0.9, b2: float = 0.99) -> Optimizer:
    """Lion.

    Args:
      b1: share of the momentum in the step, in [0, 1).
      b2: decay of the momentum, in [0, 1).
    """
    fraction(b1=b1, b2=b2)
    return decoupled(optax.scale_by_lion(b1=b1, b2=b2))
