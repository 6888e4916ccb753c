r"""Convolutions of several widths over the text: each channel is a detector of a phrase, and the pooling asks where it fires.

```math
h_t = \mathrm{relu}\big(W [x_{t-a}; \ldots; x_{t+b}] + b\big) \quad \text{for each width}
```

Parameters: Σ_w (wD + 1) f
Steps: 1
Width: f per width
Options: `widths` (3, 4, 5), `filters` f of each (100).
When: phrases decide, wherever they stand. `pooling=max` is the paper's max-over-time.
Cost: one matrix product per width over all tokens; no step waits for another.
Traps: code that takes the maximum over a padded batch lets windows of nothing but zeros in, as many as the longest text of
the batch makes, each worth relu(b). Here a window stands round every token, zeros beyond the text, and only those count.
Source: Kim 2014 (arXiv 1408.5882). Its 4 zeros on either side, and the windows that begin or end in them, are not there.
"""

from typing import ClassVar

import jax
import jax.numpy as jnp
from flax import linen as nn

from attention.encoders._modules import Encoder, dropped, embedded
from attention.records import Call, Context, Dims

__all__: list[str] = []


class CNN(Encoder):
    """One layer of convolutions. ``widths`` are in tokens; each has ``filters`` channels."""

    widths: tuple[int, ...]
    filters: int

    sees_all: ClassVar[bool] = False

    @nn.nowrap
    def width(self, model_dim: int) -> int:
        """Channels of a state: those of all widths, side by side."""
        return self.filters * len(self.widths)

    @nn.compact
    def __call__(self, x: jax.Array, context: Context, call: Call, dims: Dims) -> tuple[jax.Array, Call]:
        """Embeddings ``[B T D]`` to feature maps ``[B T width(D)]``, zeros at padding."""
        x = dropped(embedded(self, x, context, call, dims), context, call.rng)
        text = lambda x: x if call.q_valid is None else jnp.where(call.q_valid[..., None], x, 0)
        left, right = max(before(width) for width in self.widths), max(width // 2 for width in self.widths)
        # [B T (left+1+right)·D]: of each token, what the widest window sees; a narrower one sees the middle of it.
        T, D = x.shape[-2:]
        around = jnp.pad(text(x), [(0, 0)] * (x.ndim - 2) + [(left, right), (0, 0)])
        windows = jnp.concatenate([around[..., shift : shift + T, :] for shift in range(left + 1 + right)], axis=-1)
        maps = []
        for width in self.widths:
            layer = nn.Dense(self.filters, dtype=x.dtype, kernel_init=nn.initializers.he_uniform(), name=f"width_{width}")
            first = left - before(width)
            maps.append(layer(windows[..., first * D : (first + width) * D]))
        return text(nn.relu(jnp.concatenate(maps, axis=-1))), call


def before(width: int) -> int:
    """How many tokens a window holds before its own; of an even width, one less than behind."""
    return (width - 1) // 2


def build(widths: tuple[int, ...] = (3, 4, 5), filters: int = 100) -> CNN:
    """Convolutions of each of ``widths`` with ``filters`` feature maps, ``relu(W [x_{t-a} ; ... ; x_{t+b}] + b)``.

    ``a = ⌊(w-1)/2⌋`` and ``b = ⌊w/2⌋`` for a window of w tokens: one per token, round which it stands. What lies beyond the
    text, or is padding, is zeros. States are the maps of all widths side by side, ``filters·len(widths)`` channels, and those
    at the text's tokens are what the pooling reads: ``pooling=max`` is the paper's max-over-time.
    Σ_w (w·D + 1)·filters parameters.

    Kim 2014 (arXiv 1408.5882). There 4 zeros stand on either side of a text and the maximum runs over all windows, those that
    hold little or nothing but zeros among them, as many as the longest text makes; here it runs over one per token, so that
    padding changes nothing. The paper has dropout on the pooled vector alone; here the embeddings have it too.
    """
    if not widths:
        raise ValueError("widths must hold one width or more, got none")
    if min(widths) < 1:
        raise ValueError(f"widths must be >= 1, got {widths}")
    if len(set(widths)) < len(widths):
        raise ValueError(f"widths must differ, got {widths}")
    if filters < 1:
        raise ValueError(f"filters must be >= 1, got {filters}")
    return CNN(widths, filters)
