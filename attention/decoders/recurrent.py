"""A recurrence that attends to the source before each step, from its state so far (Bahdanau et al. 2014)."""

import math
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from flax import linen as nn

from attention.attend import attend
from attention.decoders._decoder import Decoder, Source, across
from attention.encoders._encoder import dropped
from attention.records import Call, Context, Dims, Params, Parts
from attention.recurrent import CELLS, CellName

__all__: list[str] = []


class Recurrent(Decoder):
    """One layer whose input is the last token and what its state finds in the source.

    Attributes:
      cell: "lstm" or "gru".
      forget_bias: bias of an LSTM's forget gate at the start.
    """

    cell: CellName = "lstm"
    forget_bias: float = 1.0

    uses: ClassVar[tuple[str, ...]] = ("score", "normalizer")

    @nn.nowrap
    def check(self, parts: Parts, dims: Dims, given: dict[str, str]) -> None:
        """Raises ValueError for a normalizer that goes by the order of the keys or joins heads."""
        across(parts, given)
        if parts.normalizer.maps > 1:
            raise ValueError(f"normalizer={given['normalizer']} joins heads, and the recurrent decoder has one")

    def setup(self) -> None:
        """Makes the parameters."""
        D, W, gates = self.dims.model_dim, self.width, CELLS[self.cell].gates
        dims = Dims(1, 1, W, W, max_length=self.dims.max_length)
        self.attention = across(self.parts)
        self.attention_params = {
            kind: tuple(
                self.param(f"{kind}{at}", getattr(self.attention, kind).init, dims._replace(layer=layer))
                for at, layer in (("", None), ("_0", 0))
            )
            for kind in ("score", "normalizer")
        }
        self.kernel = self.param("kernel", nn.initializers.glorot_uniform(), (D + W, gates * W))
        self.recurrent = self.param("recurrent", self._orthogonal, (W, W), gates)
        self.bias = self.param("bias", self._bias, gates)
        self.first, self.output = nn.Dense(W, name="start"), nn.Dense(D, name="output")

    @nn.nowrap
    def _orthogonal(self, rng: jax.Array, shape: tuple[int, int], gates: int) -> jax.Array:
        return jnp.concatenate([nn.initializers.orthogonal()(each, shape) for each in jax.random.split(rng, gates)], axis=1)

    @nn.nowrap
    def _bias(self, rng: jax.Array, gates: int) -> jax.Array:
        bias, forget = jnp.zeros((gates, self.width)), CELLS[self.cell].forget
        return (bias if forget is None else bias.at[forget].set(self.forget_bias)).reshape(-1)

    def __call__(self, y: jax.Array, source: Source, context: Context, call: Call) -> jax.Array:
        """Embeddings ``[B U D]`` to states ``[B U D]``."""
        rng_in, rng_out = (None, None) if call.rng is None else jax.random.split(call.rng)
        y = dropped(y, context, rng_in)
        weights = self._weights()

        def step(state: Params, one: jax.Array) -> tuple[Params, tuple[jax.Array, jax.Array]]:
            state, found, attended = self._step(weights, state, one, source, call)
            return state, (found, attended)

        _, (found, attended) = jax.lax.scan(step, self._start(source), y.swapaxes(0, 1))
        if context.record is not None:
            context.record("layer_0/cross/weights", jnp.moveaxis(attended[..., 0, :], 0, -2))
        return dropped(self._deep(found.swapaxes(0, 1)), context, rng_out).astype(y.dtype)

    def begin(self, source: Source, length: int) -> Any:
        """The state before the first place."""
        return self._start(source)

    def advance(
        self, y: jax.Array, place: jax.Array, source: Source, remembered: Any, context: Context, call: Call
    ) -> tuple[jax.Array, Any]:
        """One step."""
        one = jax.lax.dynamic_index_in_dim(y, place, -2, keepdims=False)
        state, found, _ = self._step(self._weights(), remembered, one, source, call)
        return self._deep(found).astype(y.dtype), state

    def _weights(self) -> tuple[jax.Array, jax.Array, jax.Array, Params]:
        return self.kernel, self.recurrent, self.bias, self.attention_params

    def _start(self, source: Source) -> tuple[jax.Array, ...]:
        """``tanh(W h_1 + b)``, in which a bidirectional encoder has read all of the source; the other carries are 0."""
        h = jnp.tanh(self.first(source.states[..., 0, :]).astype(jnp.promote_types(source.states.dtype, jnp.float32)))
        return (h, *[jnp.zeros_like(h)] * (CELLS[self.cell].carries - 1))

    @nn.nowrap
    def _step(
        self, weights: tuple[Any, ...], state: Any, y: jax.Array, source: Source, call: Call
    ) -> tuple[Any, jax.Array, jax.Array]:
        """The next state, what the output is made of ``[B 2W+D]``, and the weights over the source ``[B 1 1 S]``."""
        kernel, recurrent, bias, params = weights
        query, keys = state[0][..., None, None, :].astype(source.states.dtype), source.states[..., :, None, :]
        context, attended = attend(
            query,
            keys,
            keys,
            score=self.attention.score,
            normalizer=self.attention.normalizer,
            params=dict(params),
            call=Call(k_valid=source.valid, rng=call.rng, train=call.train),
            kernel="dense",
            return_weights=True,
        )
        context = context[..., 0, 0, :]
        into = jnp.concatenate([y, context.astype(y.dtype)], axis=-1)
        product = lambda x, matrix: (x @ matrix.astype(x.dtype)).astype(state[0].dtype)
        inputs = product(into, kernel) + bias
        state = CELLS[self.cell].step(state, inputs, product(state[0].astype(y.dtype), recurrent))
        return state, jnp.concatenate([state[0].astype(y.dtype), into], axis=-1), attended

    def _deep(self, found: jax.Array) -> jax.Array:
        return jnp.tanh(self.output(found))


def build(cell: CellName = "lstm", forget_bias: float = 1.0) -> Recurrent:
    """``c_i = Σ_j a_ij h_j`` of scores of ``s_{i-1}`` with the states h, ``s_i = cell(s_{i-1}, [y_{i-1} ; c_i])``.

    The state that predicts token i is ``tanh(W [s_i ; y_{i-1} ; c_i] + b)``; the recurrence has as many units as the source's
    states have channels and starts at ``tanh(W h_1 + b)``. One head, with the model's score and normalizer: with
    ``score=additive`` and ``encoder=bigru``, ``cell=gru``, the alignment model of Bahdanau et al. 2014 (arXiv 1409.0473,
    A.1.2, A.2.2), whose output layer is a maxout in place of the tanh, and which starts from the backward half of h_1 alone.
    """
    if not math.isfinite(forget_bias):
        raise ValueError(f"forget_bias must be a finite number, got {forget_bias}")
    if forget_bias != 1.0 and cell != "lstm":
        raise ValueError(f"forget_bias is for cell='lstm', got cell={cell!r}")
    return Recurrent(cell=cell, forget_bias=forget_bias)
