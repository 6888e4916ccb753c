r"""A recurrence that attends to the source before each step, from its state so far (Bahdanau et al. 2014).

```math
s_i = \mathrm{cell}(s_{i-1}, [y_{i-1}; c_i]), \quad c_i = \sum_j a_{ij} h_j,
\quad p(y_i) \text{ from } \tanh(W [s_i; y_{i-1}; c_i] + b)
```

Reads the source by: $c_i = \sum_j a_{ij} h_j$, with the weights of $s_{i-1}$
Options: `cell` `lstm` or `gru`, `forget_bias`. One layer, as wide as the source's states, started at $\tanh(W h_1 + b)$.
When: with `encoder=bigru`, `score=additive` and `cell=gru` it is the alignment model of Bahdanau et al.; `score=general` or
`scaled_dot` make it Luong's scores in the same place, `normalizer=sparsemax` gives alignments with zeros.
Cost: one step after the other, in training too, because the weights of step i are those of the state after step i - 1.
Traps: papers and code differ in which state asks. Here it is $s_{i-1}$ (Bahdanau); in Luong et al. 2015 (arXiv 1508.04025)
it is $s_i$. Theirs starts from the backward half of $h_1$ alone and has a maxout in place of the tanh.
Source: Bahdanau et al. 2014 (arXiv 1409.0473), A.1.2 and A.2.2.
"""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from flax import linen as nn

from attention.attend import parts_of, run
from attention.decoders._decoder import Decoder, Source, cross_parts
from attention.encoders._modules import dropped, layer_params, split
from attention.encoders._recurrent import bias_of, check_options, orthogonal
from attention.records import Call, Context, Dims
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
    def check(self, given: dict[str, str]) -> None:
        """Raises ValueError for a normalizer that goes by the order of the keys or joins heads."""
        cross_parts(self.parts, given)
        if self.parts.normalizer.maps > 1:
            raise ValueError(f"normalizer={given['normalizer']} joins heads, and the recurrent decoder has one")

    def setup(self) -> None:
        """Makes the parameters."""
        D, W, gates = self.dims.model_dim, self.width, CELLS[self.cell].gates
        dims = Dims(1, 1, W, W, max_length=self.dims.max_length)
        self.attention = cross_parts(self.parts)
        self.attention_params = layer_params(self, self.attention, dims, {}, kinds=("score", "normalizer"))
        self.kernel = self.param("kernel", nn.initializers.glorot_uniform(), (D + W, gates * W))
        self.recurrent = self.param("recurrent", lambda rng: orthogonal(split(rng, gates), W))
        self.bias = self.param("bias", lambda rng: bias_of(self.cell, W, self.forget_bias))
        self.start, self.output = nn.Dense(W), nn.Dense(D)

    def __call__(self, y: jax.Array, source: Source, context: Context, call: Call) -> jax.Array:
        """Embeddings ``[B U D]`` to states ``[B U D]``."""
        rng_in, rng_out = split(call.rng, 2)
        y = dropped(y, context, rng_in)

        def step(state: Any, one: jax.Array) -> tuple[Any, tuple[jax.Array, jax.Array]]:
            state, found, attended = self._step(state, one, source, call)
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
        state, found, _ = self._step(remembered, one, source, call)
        return self._deep(found).astype(y.dtype), state

    def _start(self, source: Source) -> tuple[jax.Array, ...]:
        """``tanh(W h_1 + b)``, in which a bidirectional encoder has read all of the source; the other carries are 0."""
        h = jnp.tanh(self.start(source.states[..., 0, :]).astype(jnp.promote_types(source.states.dtype, jnp.float32)))
        return (h, *[jnp.zeros_like(h)] * (CELLS[self.cell].carries - 1))

    @nn.nowrap
    def _step(self, state: Any, y: jax.Array, source: Source, call: Call) -> tuple[Any, jax.Array, jax.Array]:
        """The next state, what the output is made of ``[B 2W+D]``, and the weights over the source ``[B 1 1 S]``."""
        query, keys = state[0][..., None, None, :].astype(source.states.dtype), source.states[..., :, None, :]
        context, attended = run(
            parts_of(score=self.attention.score, normalizer=self.attention.normalizer),
            query,
            keys,
            keys,
            params=dict(self.attention_params),
            call=Call(k_valid=source.valid, rng=call.rng, train=call.train),
            kernel="dense",
            weights=True,
        )
        assert attended is not None
        context = context[..., 0, 0, :]
        into = jnp.concatenate([y, context.astype(y.dtype)], axis=-1)
        product = lambda x, matrix: (x @ matrix.astype(x.dtype)).astype(state[0].dtype)
        inputs = product(into, self.kernel) + self.bias
        state = CELLS[self.cell].step(state, inputs, product(state[0].astype(y.dtype), self.recurrent))
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
    check_options(forget_bias=forget_bias)
    if forget_bias != 1.0 and cell != "lstm":
        raise ValueError(f"forget_bias is for cell='lstm', got cell={cell!r}")
    return Recurrent(cell=cell, forget_bias=forget_bias)
