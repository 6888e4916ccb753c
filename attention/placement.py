"""Where arrays stand under explicit sharding, in which each array's type says how it is split over a mesh."""

import jax
from jax.sharding import AxisType, NamedSharding, PartitionSpec


def sharding_like(x: jax.Array, axes: int, ndim: int) -> NamedSharding | None:
    """That of ``ndim`` axes of which the first ``axes`` are split as those of ``x``; None where sharding is not explicit."""
    given = jax.typeof(x).sharding
    if not _explicit(x):
        return None
    return NamedSharding(given.mesh, PartitionSpec(*given.spec[:axes], *[None] * (ndim - axes)))


def check_not_explicit(owner: str, x: jax.Array) -> None:
    """Refuses explicit sharding. Raises ValueError."""
    if _explicit(x):
        raise ValueError(f"{owner} cannot be computed under explicit sharding: use a mesh whose axes are AxisType.Auto")


def _explicit(x: jax.Array) -> bool:
    return AxisType.Explicit in jax.typeof(x).sharding.mesh.axis_types


def placed(array: jax.Array, x: jax.Array, axes: int) -> jax.Array:
    """``array``, with its first ``axes`` split as those of ``x``."""
    sharding = sharding_like(x, axes, array.ndim)
    return array if sharding is None else jax.sharding.reshard(array, sharding)


def taken(table: jax.Array, index: jax.Array) -> jax.Array:
    """``table[index]``, split as the index is."""
    return table.at[index].get(out_sharding=sharding_like(index, index.ndim, index.ndim + table.ndim - 1))
