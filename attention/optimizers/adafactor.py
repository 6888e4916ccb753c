"""Adafactor: factored second moments, clipped updates, relative steps.

Moments of a matrix are factored where its two largest axes have at least ``factor_from`` entries. The step of a parameter is
scaled by its root mean square, at least 1e-3, so that learning rates are larger than Adam's.

Source: Shazeer & Stern 2018, "Adafactor" (arXiv 1804.04235), algorithms 4 and 5, without momentum.
"""

import optax

from attention.optimizers._optimizer import Optimizer, decoupled, fraction, positive

__all__: list[str] = []


def build(*, decay_rate: float = 0.8, clip: float = 1.0, factor_from: int = 128) -> Optimizer:
    """Adafactor.

    Args:
      decay_rate: c of ``b2_t = 1 - t^-c``, in [0, 1).
      clip: largest root mean square of a parameter's update, above 0.
      factor_from: entries of the two largest axes from which moments are factored, above 0.
    """
    fraction(decay_rate=decay_rate)
    positive(clip=clip, factor_from=factor_from)
    return decoupled(
        optax.chain(
            optax.scale_by_factored_rms(decay_rate=decay_rate, min_dim_size_to_factor=factor_from),
            optax.clip_by_block_rms(clip),
            optax.scale_by_param_block_rms(),
        )
    )
