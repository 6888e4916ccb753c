"""Words by their characters: a convolution over these, and of each channel the greatest.

Source: Ma and Hovy 2016 (arXiv 1603.01354), section 2.1. There its output stands beside the embedding of the word, here it has
as many channels and is added to it, and its input has no dropout of its own.
"""

import math

import jax
import jax.numpy as jnp
from flax import linen as nn

from attention.positions import taken

ROWS = 2048  # numbers of characters that there are, as in ``data.characters``
EMBEDDED = 32  # channels of the embedding of a character
WIDTH = 3  # characters that a channel sees at once


class Characters(nn.Module):
    """``max_c (W [e_{c-1}; e_c; e_{c+1}] + b)`` over the characters of a word, zeros beyond both ends; 0 for no word.

    Attributes:
      channels: D.
      dtype: of the matrix product; parameters are float32.
    """

    channels: int
    dtype: jax.typing.DTypeLike

    @nn.compact
    def __call__(self, characters: jax.Array) -> jax.Array:
        """int32 ``[*B T C]``, numbers as of ``data.characters.spelled``, to ``[*B T D]``."""
        table = self.param("table", nn.initializers.normal(1 / math.sqrt(EMBEDDED)), (ROWS, EMBEDDED))
        there = (characters > 0)[..., None]
        x = jnp.where(there, taken(table, characters) * math.sqrt(EMBEDDED), 0).astype(self.dtype)
        beside = [(0, 0)] * (x.ndim - 2) + [(WIDTH // 2, WIDTH // 2), (0, 0)]
        padded, length = jnp.pad(x, beside), characters.shape[-1]
        windows = jnp.concatenate([padded[..., k : k + length, :] for k in range(WIDTH)], axis=-1)
        y = jnp.where(there, nn.Dense(self.channels, dtype=self.dtype, name="filters")(windows), -jnp.inf)
        return jnp.where(there.any(axis=-2), jnp.max(y, axis=-2), 0)
