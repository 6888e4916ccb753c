"""What encodings that act on the embeddings share: adding or appending a code, and its scale."""

import math
from typing import Literal

import jax
import jax.numpy as jnp

Combine = Literal["add", "concat"]


def put(x: jax.Array, code: jax.Array, combine: Combine = "add") -> jax.Array:
    """The embeddings ``[*B T D]`` with a code ``[*#B T P]``, P = 1 or D where it is added.

    To concatenate without widening the model, the first P channels of the embeddings make room: ``[x_P ... x_{D-1} ‖ code]``,
    which is an embedding of D - P channels with P of code behind it. So terms of a ``+`` do not overwrite one another.

    Raises:
      ValueError: where a code to be concatenated leaves no channel of the embeddings.
    """
    code = code.astype(x.dtype)
    if combine == "add":
        return x + code
    P, D = code.shape[-1], x.shape[-1]
    if P >= D:
        raise ValueError(f"combine='concat' takes {P} of the model's channels, and it has {D}")
    return jnp.concatenate([x[..., P:], jnp.broadcast_to(code, (*x.shape[:-1], P))], axis=-1)


def check_scale(scale: float) -> None:
    """Refuses a scale that is 0 or not finite."""
    if not math.isfinite(scale) or scale == 0:
        raise ValueError(f"scale must be a finite number other than 0, got {scale}")


def check_dim(dim: int, least: int = 1) -> None:
    """Refuses a dimension that is too small."""
    if dim < least:
        raise ValueError(f"dim must be >= {least}, got {dim}")
