"""Recurrences in both directions, layer by layer, as Flax modules."""

import math
from collections.abc import Sequence
from typing import Literal

import jax
import jax.numpy as jnp
from flax import linen as nn

from attention.encoders._modules import Encoder, dropped, embedded, split
from attention.records import Call, Context, Dims, Params
from attention.recurrent import CELLS, CellName, recur

Combine = Literal["concat", "sum"]


class Bidirectional(nn.Module):
    """One layer: a recurrence in either direction, and their states side by side or added.

    Attributes:
      cell: "lstm" or "gru".
      hidden: U, units per direction.
      combine: "concat" for ``[B T 2U]``, the forward direction first, or "sum" for ``[B T U]``.
      forget_bias: bias of an LSTM's forget gates at the start.
    """

    cell: CellName
    hidden: int
    combine: Combine = "concat"
    forget_bias: float = 1.0

    @nn.compact
    def __call__(self, x: jax.Array, where: jax.Array | None, segments: jax.Array | None = None) -> jax.Array:
        """States ``[B T width]`` of ``[B T D]``, zeros where ``where`` is False; no state crosses the border of a segment."""
        found = [self.param(name, self._init, x.shape[-1]) for name in ("forward", "backward")]
        weights = [(each["kernel"], each["recurrent"], each["bias"]) for each in found]
        forward, backward = recur(self.cell, x, weights, (False, True), where, segments)
        return jnp.concatenate([forward, backward], axis=-1) if self.combine == "concat" else forward + backward

    @nn.nowrap
    def _init(self, rng: jax.Array, inputs: int) -> Params:
        """Of each gate, inputs as of a layer of its own and an orthogonal recurrence (Saxe et al. 2013, arXiv 1312.6120)."""
        gates, U = CELLS[self.cell].gates, self.hidden
        into, *inside = jax.random.split(rng, gates + 1)
        kernel = nn.initializers.glorot_uniform(in_axis=0, out_axis=2, batch_axis=1)
        return {
            "kernel": kernel(into, (inputs, gates, U)).reshape(inputs, -1),
            "recurrent": orthogonal(inside, U),
            "bias": bias_of(self.cell, U, self.forget_bias),
        }


def orthogonal(rngs: Sequence[jax.Array], units: int) -> jax.Array:
    """A recurrent matrix ``[U G·U]``, orthogonal for each of the G gates, of which ``rngs`` are the keys."""
    return jnp.concatenate([nn.initializers.orthogonal()(rng, (units, units)) for rng in rngs], axis=1)


def bias_of(cell: CellName, units: int, forget_bias: float) -> jax.Array:
    """Biases ``[G·U]`` at the start: 0, but ``forget_bias`` for the forget gate where there is one."""
    bias, forget = jnp.zeros((CELLS[cell].gates, units)), CELLS[cell].forget
    return (bias if forget is None else bias.at[forget].set(forget_bias)).reshape(-1)


def half(hidden: int | None, model_dim: int) -> int:
    """Units per direction: ``hidden``, or half of the model's channels. Raises ValueError where these cannot be halved."""
    if hidden is None and model_dim % 2:
        raise ValueError(f"without hidden, each direction has half of the model's channels, got {model_dim}; give hidden")
    return hidden or model_dim // 2


class Recurrent(Encoder):
    """A stack of layers in both directions; dropout is on what each of them reads.

    Attributes:
      cell: "lstm" or "gru".
      hidden: U, units per direction; None for as many as make states as wide as the embeddings.
      layers: how many.
      combine: "concat" or "sum".
      forget_bias: bias of an LSTM's forget gates at the start.
    """

    cell: CellName
    hidden: int | None = None
    layers: int = 1
    combine: Combine = "concat"
    forget_bias: float = 1.0

    @nn.nowrap
    def units(self, model_dim: int) -> int:
        """U. Raises ValueError where two directions cannot share the width."""
        return half(self.hidden, model_dim) if self.combine == "concat" else self.hidden or model_dim

    @nn.nowrap
    def width(self, model_dim: int) -> int:
        """Channels of a state: 2U side by side, U added."""
        return self.units(model_dim) * (2 if self.combine == "concat" else 1)

    @nn.compact
    def __call__(self, x: jax.Array, context: Context, call: Call, dims: Dims) -> tuple[jax.Array, Call]:
        """Embeddings ``[B T D]`` to states ``[B T width(D)]``, zeros at padding."""
        x, hidden = embedded(self, x, context, call, dims), self.units(dims.model_dim)
        for layer, rng in enumerate(split(call.rng, self.layers)):
            one = Bidirectional(self.cell, hidden, self.combine, self.forget_bias, name=f"layer_{layer}")
            x = one(dropped(x, context, rng), call.q_valid)
            if context.record is not None:
                context.record(f"layer_{layer}/output", x)
        return x, call


def check_options(hidden: int | None = None, layers: int = 1, forget_bias: float = 1.0) -> None:
    """Refuses sizes below 1 and a bias that is no number."""
    if hidden is not None and hidden < 1:
        raise ValueError(f"hidden must be >= 1, got {hidden}")
    if layers < 1:
        raise ValueError(f"layers must be >= 1, got {layers}")
    if not math.isfinite(forget_bias):
        raise ValueError(f"forget_bias must be a finite number, got {forget_bias}")
