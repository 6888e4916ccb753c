"""AdamW: Adam with decoupled weight decay.

::

  m <- b1 m + (1 - b1) g,   v <- b2 v + (1 - b2) g^2
  direction = (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps)

Source: Loshchilov & Hutter 2019, "Decoupled Weight Decay Regularization" (arXiv 1711.05101), algorithm 2.
"""

import optax

from attention.optimizers._optimizer import Optimizer, decoupled, fraction, positive

__all__: list[str] = []


def build(*, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8) -> Optimizer:
    """AdamW.

    Args:
      b1, b2: decay of the two moments, in [0, 1).
      eps: added to the root of the second, above 0.
    """
    fraction(b1=b1, b2=b2)
    positive(eps=eps)
    return decoupled(optax.scale_by_adam(b1=b1, b2=b2, eps=eps))
