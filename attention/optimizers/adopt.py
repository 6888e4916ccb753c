"""ADOPT: Adam whose second moment is that of the gradients before, so that it converges with any b2.

::

  v_0 = g_0^2,   m <- b1 m + (1 - b1) clip(g / max(sqrt(v), eps), t^(1/4)),   direction = m,   v <- b2 v + (1 - b2) g^2

The first update does not move: its gradient only begins the second moment.

Source: Taniguchi et al. 2024, "ADOPT: Modified Adam Can Converge with Any β2 with the Optimal Rate" (arXiv 2411.02853).
"""

from optax import contrib

from attention.optimizers._optimizer import Optimizer, decoupled, fraction, positive

__all__: list[str] = []


def build(*, b1: float = 0.9, b2: float = 0.9999, eps: float = 1e-6, clip: bool = True) -> Optimizer:
    """ADOPT.

    Args:
      b1, b2: decay of the two moments, in [0, 1).
      eps: least root of the second, above 0.
      clip: whether the normalized gradient is clipped to ``t^(1/4)``.
    """
    fraction(b1=b1, b2=b2)
    positive(eps=eps)
    return decoupled(contrib.scale_by_adopt(b1=b1, b2=b2, eps=eps, use_clipping=clip))
