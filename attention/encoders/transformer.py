r"""Blocks of a mixer and an MLP, each added to its input, with a norm before, after, or on both sides of it.

```math
x \leftarrow x + \mathrm{mixer}(N(x)), \quad x \leftarrow x + \mathrm{MLP}(N(x)) \quad \text{in L blocks}
```

Parameters: L(4(D² + D) + 2DF + F + 5D) + 2D
Steps: L
Width: D
Options: `layers` L (2), `mlp` F / D (4), `activation` `gelu`, `relu` or `swiglu`; `norm` `pre`, `post` or `sandwich`
($x + N'(f(N(x)))$); `norm_type` `layer` or `rms`; `gate` on what the mixer reads; `init=depth`, which starts what projects
into the residual stream at $1/\sqrt{2L}$ of its size; `stochastic_depth`, the rate at which the last block's branches are
left out in training, less in earlier ones; `registers`, learned tokens in the layers that the pooling does not see.
Cost: $O(T^2)$ for attention's scores, $O(T)$ with other mixers.
Traps: `post` needs a warmup. Registers stand at position 0: under `mask=local` only the start of the text sees them, under
`causal` they see nothing but its first token.
Source: Vaswani et al. 2017 (arXiv 1706.03762); Xiong et al. 2020 (arXiv 2002.04745); Ding et al. 2021 (arXiv 2105.13290);
Zhang and Sennrich 2019 (arXiv 1910.07467); Radford et al. 2019 (GPT-2); Huang et al. 2016 (arXiv 1603.09382); Darcet et al.
2023 (arXiv 2309.16588).
"""

import dataclasses
import math
from typing import Any, ClassVar, Literal

import jax
import jax.numpy as jnp
from flax import linen as nn

from attention.attend import reads
from attention.dropout import dropout
from attention.encoders._modules import (
    Encoder,
    dropped,
    layer_params,
    placed,
    preceded,
    prefixed,
    shared_params,
    split,
    with_registers,
)
from attention.layer import Layer
from attention.records import Call, Context, Dims, Gate, Mixer, Params

__all__: list[str] = []

Activation = Literal["gelu", "relu", "swiglu"]
Norm = Literal["pre", "post", "sandwich"]
NormType = Literal["layer", "rms"]
Init = Literal["plain", "depth"]
NORMS = {"layer": nn.LayerNorm, "rms": nn.RMSNorm}


class MLP(nn.Module):
    """``W₂ φ(W₁ x)`` for gelu and relu, ``W₂ (silu(W₁ x) ⊙ W₃ x)`` for swiglu (Shazeer 2020, arXiv 2002.05202).

    ``scale`` multiplies W₂ at the start.
    """

    width: int
    activation: Activation
    scale: float = 1.0

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """``[B T D]`` to ``[B T D]``."""
        dense = lambda features, name: nn.Dense(features, dtype=x.dtype, name=name)
        h = dense(self.width, "in")(x)
        if self.activation == "swiglu":
            h = nn.silu(h) * dense(self.width, "gate")(x)
        else:
            h = nn.gelu(h) if self.activation == "gelu" else nn.relu(h)
        lecun = nn.initializers.lecun_normal()
        scaled = lambda *args: self.scale * lecun(*args)
        return nn.Dense(x.shape[-1], dtype=x.dtype, kernel_init=scaled, name="out")(h)


class Block(nn.Module):
    """A mixer and an MLP with their residual connections; a gate may stand before the mixer, after a norm that is there.

    ``scale`` multiplies the output projections at the start; ``stochastic_depth`` is the rate at which either is left out, in
    training.
    """

    mixer: Mixer
    width: int
    activation: Activation
    norm: Norm
    norm_type: NormType = "layer"
    gate: Gate = Gate()
    scale: float = 1.0
    stochastic_depth: float = 0.0

    @nn.compact
    def __call__(self, x: jax.Array, context: Context, call: Call, dims: Dims) -> jax.Array:
        """``[B T D]`` to ``[B T D]``."""
        rng_mixer, *rngs = split(call.rng, 3)
        own = self._scaled({}) if self.mixer.init is None else self.param("mixer", self._mixer, dims)
        init, gate = self.gate.init, self.gate.apply
        weights = {} if init is None else self.param("gate", init, x.shape[-1])
        passed = lambda x: x if gate is None else gate(weights, x)
        layer = Layer(self.mixer, context.parts, dims, context.kernel)
        params = {**context.params, "mixer": own}
        mix = lambda x: layer.run(params, passed(x), context, dataclasses.replace(call, rng=rng_mixer))
        mlp = MLP(self.width, self.activation, self.scale, name="mlp")
        normed = lambda name, x: NORMS[self.norm_type](dtype=x.dtype, name=name)(x)
        for name, step, rng in (("mixer", mix, rngs[0]), ("mlp", mlp, rngs[1])):
            if self.norm == "post":
                x = normed(f"{name}_norm", x + self._thinned(step(x), context, call, rng))
                continue
            added = step(normed(f"{name}_norm", x))
            if self.norm == "sandwich":
                added = normed(f"{name}_norm_after", added)
            x = x + self._thinned(added, context, call, rng)
        return x

    @nn.nowrap
    def _mixer(self, rng: jax.Array, dims: Dims) -> Params:
        assert self.mixer.init is not None
        return self._scaled(self.mixer.init(rng, dims))

    @nn.nowrap
    def _scaled(self, params: Params) -> Params:
        if self.scale == 1.0:
            return params
        if "output" not in params:
            raise ValueError("init=depth scales the mixer's output projection at the start, and this mixer has none")
        return {**params, "output": jax.tree.map(lambda leaf: self.scale * leaf, params["output"])}

    @nn.nowrap
    def _thinned(self, added: jax.Array, context: Context, call: Call, rng: jax.Array | None) -> jax.Array:
        """With dropout, and left out altogether for some examples."""
        added = dropped(added, context, rng)
        if not (self.stochastic_depth and call.train):
            return added
        if rng is None:
            raise ValueError("stochastic_depth in training needs rng")
        examples = jnp.ones((*added.shape[:-2], 1, 1), added.dtype)
        return added * dropout(examples, self.stochastic_depth, jax.random.fold_in(rng, 1))


class Transformer(Encoder):
    """A stack of blocks; where norms stand before what is added, it ends with a norm of its own."""

    layers: int
    mlp: float
    activation: Activation
    norm: Norm
    norm_type: NormType = "layer"
    gate: Gate = Gate()
    init_type: Init = "plain"
    stochastic_depth: float = 0.0
    registers: int = 0
    mixer: Any = None  # set by `attention.models.classifier.classifier`

    uses: ClassVar[tuple[str, ...]] = ("encoding", "mixer")

    @property
    def whole_row(self) -> str | None:
        """Registers are in the segment of the first token."""
        return "only the first document would see its registers" if self.registers else None

    @nn.nowrap
    def inner(self, call: Call, length: int) -> Call:
        """The call of the layers, with the registers before the text."""
        return with_registers(call, self.registers, length)

    @nn.nowrap
    def inner_length(self, length: int) -> int:
        """Positions of the layers for a text of ``length`` tokens."""
        return self.registers + length

    @nn.compact
    def __call__(self, x: jax.Array, context: Context, call: Call, dims: Dims) -> tuple[jax.Array, Call]:
        """Embeddings ``[B T D]`` to states ``[B T D]``."""
        encoding, length, R = context.parts.encoding, x.shape[-2], self.registers
        if encoding.depth > self.layers:
            raise ValueError(f"the encoding acts before block {encoding.depth}, the encoder has {self.layers}")
        dims = dims._replace(num_layers=self.layers, reads=reads(context.parts))
        shared = shared_params(self, context.parts, dims)
        outside = shared.get("encoding", {})  # of the encoding, where it acts outside of the layers
        rng_positions, rng_dropout, *rngs = split(call.rng, self.layers + 2)
        positioned = placed(encoding, outside, dataclasses.replace(call, rng=rng_positions))
        tokens, within = context.tokens, self.inner(call, length)
        if R:
            context = context._replace(tokens=preceded(tokens, 0, R))

        def embed(params: Params, x: jax.Array) -> jax.Array:
            """On the text alone, which comes last."""
            if encoding.embed is None:
                return x
            first = x.shape[-2] - length
            text = encoding.embed(params, x[..., first:, :], tokens, positioned)
            return jnp.concatenate([x[..., :first, :], text], axis=-2) if first else text

        for layer in range(self.layers):
            here = dims._replace(layer=layer)
            params = layer_params(self, context.parts, here, shared)
            if encoding.depth == layer:
                x = embed(params.get("encoding", {}), x)
            if layer == 0:
                x = self._registered(dropped(x, context, rng_dropout))
            inner = context._replace(
                params=params,
                encoding_call=dataclasses.replace(self.inner(positioned, length), layer=layer),
                record=prefixed(context.record, f"layer_{layer}"),
            )
            if here.max_length is not None:
                here = here._replace(max_length=self.inner_length(here.max_length))  # a mixer's weights are by place
            x = self._block(layer, dims.model_dim)(x, inner, dataclasses.replace(within, rng=rngs[layer], layer=layer), here)
            if inner.record is not None:
                inner.record("output", x)
        if encoding.depth == self.layers:
            x = embed(outside, x)
        x = x[..., R:, :]
        return x if self.norm == "post" else NORMS[self.norm_type](dtype=x.dtype, name="norm")(x), call

    @nn.nowrap
    def _registered(self, x: jax.Array) -> jax.Array:
        if not self.registers:
            return x
        registers = self.param("registers", nn.initializers.normal(1.0), (self.registers, x.shape[-1]))
        return preceded(x, registers, self.registers, axis=-2)

    @nn.nowrap
    def _block(self, layer: int, model_dim: int) -> Block:
        return Block(
            mixer=self.mixer,
            width=round(self.mlp * model_dim),
            activation=self.activation,
            norm=self.norm,
            norm_type=self.norm_type,
            gate=self.gate,
            scale=1.0 if self.init_type == "plain" else 1.0 / math.sqrt(2 * self.layers),
            stochastic_depth=self.stochastic_depth * (layer + 1) / self.layers,
            name=f"block_{layer}",
        )


def build(
    layers: int = 2,
    mlp: float = 4.0,
    activation: Activation = "gelu",
    norm: Norm = "pre",
    norm_type: NormType = "layer",
    gate: Gate | str = "none",
    init: Init = "plain",
    stochastic_depth: float = 0.0,
    registers: int = 0,
) -> Transformer:
    """A transformer encoder of ``layers`` blocks with an MLP ``mlp`` times as wide as the model.

    ``norm`` is ``'pre'``, ``x + f(N(x))``; ``'post'``, ``N(x + f(x))``; or ``'sandwich'``, ``x + N'(f(N(x)))``, after Ding et
    al. 2021 (CogView, arXiv 2105.13290). ``norm_type='rms'`` is ``x / √(mean x² + ε) ⊙ g`` (Zhang and Sennrich 2019, arXiv
    1910.07467).

    ``init='depth'`` multiplies what projects into the residual stream, of the mixer and of the MLP, by 1/√(2·layers) at the
    start, so that its variance does not grow with the number of layers (Radford et al. 2019, GPT-2, section 2.3).

    ``stochastic_depth`` p leaves out, in training and for each example by itself, what a mixer or an MLP adds, with probability
    ``p (l+1)/layers`` in block l = 0, 1, ...; what is kept is divided by one minus that. Huang et al. 2016 (arXiv 1603.09382),
    where one draw is for a whole batch and the weights are scaled at test instead.

    ``registers`` are learned tokens that stand before the text in the layers; the pooling does not see them (Darcet et al.
    2023, arXiv 2309.16588). They are all at position 0 and in the segment of the first token; the text keeps its positions. An
    encoding that acts on embeddings leaves them alone; one that acts on scores, and a mask by position, take them for tokens
    at 0.

    ``gate`` acts on what the mixer of each block reads, which with ``norm='pre'`` is the normed input; the residual
    connection passes by it. ``residual`` is ``(1 + w)⊙x`` and ``mult`` ``w⊙x``, which after a norm is what its own scale does;
    ``input`` is ``x⊙σ(xW + b)`` and ``residual_input`` ``x + x⊙σ(xW + b)``, b an option: ``input(bias=0)``.
    Vaswani et al. 2017 (arXiv 1706.03762); pre-norm after Xiong et al. 2020 (arXiv 2002.04745).
    """
    if layers < 1:
        raise ValueError(f"layers must be >= 1, got {layers}")
    if not mlp > 0:
        raise ValueError(f"mlp must be > 0, got {mlp}")
    assert isinstance(gate, Gate)
    if not 0 <= stochastic_depth < 1:
        raise ValueError(f"stochastic_depth must be in [0, 1), got {stochastic_depth}")
    if registers < 0:
        raise ValueError(f"registers must be >= 0, got {registers}")
    return Transformer(layers, mlp, activation, norm, norm_type, gate, init, stochastic_depth, registers)
