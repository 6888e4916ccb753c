"""The state of a whole text that scores of its positions may depend on."""

from typing import Literal

import jax
import jax.numpy as jnp

from attention.poolings.first import first_pool
from attention.poolings.last import last_pool
from attention.records import Dims

ContextName = Literal["none", "last", "final"]


def _final(x: jax.Array, where: jax.Array) -> jax.Array:
    half = x.shape[-1] // 2
    return jnp.concatenate([last_pool(x, where)[..., :half], first_pool(x, where)[..., half:]], axis=-1)


# Of the valid positions of states [*B T D], [*B D]; "none" has none.
CONTEXTS = {"last": last_pool, "final": _final}


def check_width(context: str, dims: Dims) -> None:
    """Refuses two directions of different widths."""
    if CONTEXTS.get(context) is _final and dims.model_dim % 2:
        raise ValueError(f"context=final is of two directions with half of the channels each, got {dims.model_dim} channels")
