"""Arrays under explicit sharding, in which each array's type says how it is split over a mesh."""

import jax

from attention.positions import sharding_like


def placed(array: jax.Array, x: jax.Array, axes: int) -> jax.Array:
    """``array``, with its first ``axes`` split as those of ``x``."""
    sharding = sharding_like(x, axes, array.ndim)
    return array if sharding is None else jax.sharding.reshard(array, sharding)


def check_not_explicit(owner: str, x: jax.Array) -> None:
    """Refuses explicit sharding. Raises ValueError."""
    if sharding_like(x, 0, x.ndim) is not None:
        raise ValueError(f"{owner} cannot be computed under explicit sharding: use a mesh whose axes are AxisType.Auto")
