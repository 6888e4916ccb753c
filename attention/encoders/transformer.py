r"""Blocks of a mixer and an MLP, each added to its input, with a norm before, after, or on both sides of it.

```math
x \leftarrow x + \mathrm{mixer}(N(x)), \quad x \leftarrow x + \mathrm{MLP}(N(x)) \quad \text{in L blocks}
```

Parameters: L(4(D² + D) + 2DF + F + 5D) + 2D
Steps: L
Width: D
Options: `layers` L (2), `mlp` F / D (4), `activation` `gelu`, `relu` or `swiglu`; `norm` `pre`, `post` or `sandwich`
($x + N'(f(N(x)))$); `norm_type` `layer` or `rms`; `gate` on what the mixer reads; `init=depth`, which starts what projects
into the residual stream at $1/\sqrt{2L}$ of its size, and `init=gpt2`, where all matrices are N(0, 0.02²) besides;
`bias=False` for norms and MLPs without biases; `stochastic_depth`, the rate at which the last block's branches are left out in
training, less in earlier ones; `registers`, learned tokens in the layers that the pooling does not see.
Cost: $O(T^2)$ for attention's scores, $O(T)$ with other mixers.
Traps: `post` needs a warmup. Registers stand at position 0: under `mask=local` only the start of the text sees them, under
`causal` they see nothing but its first token.
Source: Vaswani et al. 2017 (arXiv 1706.03762); Xiong et al. 2020 (arXiv 2002.04745); Ding et al. 2021 (arXiv 2105.13290);
Zhang and Sennrich 2019 (arXiv 1910.07467); Radford et al. 2019 (GPT-2); Huang et al. 2016 (arXiv 1603.09382); Darcet et al.
2023 (arXiv 2309.16588).
"""

import dataclasses
import functools
import math
from typing import Any, ClassVar, Literal

import jax
import jax.numpy as jnp
from flax import linen as nn

from attention.attend import completed, reads
from attention.dropout import dropout
from attention.encoders._modules import (
    MLP,
    Activation,
    Encoder,
    NormType,
    dropped,
    layer_params,
    normed,
    placed,
    preceded,
    prefixed,
    put,
    shared_params,
    split,
    with_registers,
)
from attention.layer import Layer
from attention.records import Call, Context, Dims, Gate, Mixer, Params, Parts

__all__: list[str] = []

Norm = Literal["pre", "post", "sandwich"]
Init = Literal["plain", "depth", "gpt2"]
GPT2 = 0.02  # the standard deviation of its matrices at the start


class Block(nn.Module):
    """A mixer and an MLP with their residual connections; a gate may stand before the mixer, after a norm that is there.

    ``scale`` multiplies the output projections at the start, and ``std`` is as of the MLP; ``stochastic_depth`` is the rate at
    which either is left out, in training.
    """

    mixer: Mixer
    width: int
    activation: Activation
    norm: Norm
    norm_type: NormType = "layer"
    gate: Gate = Gate()
    scale: float = 1.0
    stochastic_depth: float = 0.0
    bias: bool = True
    std: float | None = None

    @nn.compact
    def __call__(
        self, x: jax.Array, context: Context, call: Call, dims: Dims, kept: Any = None, place: Any = None
    ) -> tuple[jax.Array, Any]:
        """``[B T D]`` to ``[B T D]``, and what is kept.

        ``kept`` has room for what the mixer remembers of each token, ``[B L ...]``, and holds that of those before ``place``,
        from which on the T stand; without it they are all there is.
        """
        rng_mixer, *rngs = split(call.rng, 3)
        own = self._scaled({}) if self.mixer.init is None else self.param("mixer", self._mixer, dims)
        init, gate = self.gate.init, self.gate.apply
        weights = {} if init is None else self.param("gate", init, x.shape[-1])
        passed = lambda x: x if gate is None else gate(weights, x)
        layer = Layer(self.mixer, context.parts, dims, context.kernel)
        params = {**context.params, "mixer": own}

        def mix(x: jax.Array) -> jax.Array:
            nonlocal kept
            x, here = passed(x), context
            if kept is not None:
                assert self.mixer.remember is not None  # see Transformer.remembers
                kept = jax.tree.map(functools.partial(put, place), kept, self.mixer.remember(own, x))
                here = context._replace(remembered=kept)
            return layer.run(params, x, here, dataclasses.replace(call, rng=rng_mixer))

        mlp = MLP(self.width, self.activation, self.scale, self.bias, self.std, name="mlp")
        for name, step, rng in (("mixer", mix, rngs[0]), ("mlp", mlp, rngs[1])):
            if self.norm == "post":
                x = self._normed(f"{name}_norm", x + self._thinned(step(x), context, call, rng))
                continue
            added = step(self._normed(f"{name}_norm", x))
            if self.norm == "sandwich":
                added = self._normed(f"{name}_norm_after", added)
            x = x + self._thinned(added, context, call, rng)
        return x, kept

    @nn.nowrap
    def _normed(self, name: str, x: jax.Array) -> jax.Array:
        return normed(x, name, self.norm_type, self.bias)

    @nn.nowrap
    def _mixer(self, rng: jax.Array, dims: Dims) -> Params:
        assert self.mixer.init is not None
        params = self.mixer.init(rng, dims)
        return self._scaled(params if self.std is None else redrawn(rng, params, self.std))

    @nn.nowrap
    def _scaled(self, params: Params) -> Params:
        if self.scale == 1.0:
            return params
        if "output" not in params:
            init = "depth" if self.std is None else "gpt2"
            raise ValueError(f"init={init} scales the mixer's output projection at the start, and this mixer has none")
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


def redrawn(rng: jax.Array, params: Params, std: float) -> Params:
    """The parameters with all kernels N(0, std²)."""
    leaves, structure = jax.tree.flatten_with_path(params)
    drawn = [
        std * jax.random.normal(each, leaf.shape, leaf.dtype) if path[-1] == jax.tree_util.DictKey("kernel") else leaf
        for each, (path, leaf) in zip(jax.random.split(rng, len(leaves)), leaves)
    ]
    return jax.tree.unflatten(structure, drawn)


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
    bias: bool = True
    mixer: Any = None  # set by `attention.models.classifier.classifier`

    uses: ClassVar[tuple[str, ...]] = ("encoding", "mixer")
    causal: ClassVar[bool] = True

    @property
    def whole_row(self) -> str:
        """Registers are in the segment of the first token."""
        return "only the first document would see its registers" if self.registers else ""

    @nn.nowrap
    def inner(self, call: Call, length: int) -> Call:
        """The call of the layers, with the registers before the text."""
        return with_registers(call, self.registers, length)

    @nn.nowrap
    def inner_length(self, length: int) -> int:
        """Positions of the layers for a text of ``length`` tokens."""
        return self.registers + length

    def __call__(self, x: jax.Array, context: Context, call: Call, dims: Dims) -> tuple[jax.Array, Call]:
        """Embeddings ``[B T D]`` to states ``[B T D]``."""
        return self._blocks(x, context, call, dims)[0], call

    @nn.nowrap
    def remembers(self, parts: Parts) -> bool:
        """Whether what is kept of each token stays what it is as the text goes on, and is all that later ones read of it."""
        encoding, whole = parts.encoding, parts.normalizer.reads == "all"
        return self.mixer.remember is not None and not (encoding.whole or encoding.depth or whole or self.registers)

    @nn.nowrap
    def begin(self, batch: int, length: int, dims: Dims, dtype: Any) -> Any:
        """Room for what each layer keeps of ``length`` tokens."""

        def remembered(rng: jax.Array, x: jax.Array) -> Any:
            return self.mixer.remember({} if self.mixer.init is None else self.mixer.init(rng, dims), x)

        blank = jnp.zeros((batch, length, dims.model_dim), dtype)
        room = jax.eval_shape(remembered, jax.random.key(0), blank)
        return [jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), room) for _ in range(self.layers)]

    def advance(self, x: jax.Array, place: Any, kept: Any, context: Context, call: Call, dims: Dims) -> tuple[jax.Array, Any]:
        """States ``[B t D]`` of tokens that stand from a place on, and what is kept after them; the call is of all L places."""
        return self._blocks(x, context, call, dims, kept, place)

    @nn.compact
    def _blocks(
        self, x: jax.Array, context: Context, call: Call, dims: Dims, kept: Any = None, place: Any = None
    ) -> tuple[jax.Array, Any]:
        encoding, length, R = context.parts.encoding, x.shape[-2], self.registers
        if encoding.depth > self.layers:
            raise ValueError(f"the encoding acts before block {encoding.depth}, the encoder has {self.layers}")
        dims = dims._replace(num_layers=self.layers, reads=reads(context.parts))
        shared = shared_params(self, context.parts, dims)
        outside = shared.get("encoding", {})  # of the encoding, where it acts outside of the layers
        rng_positions, rng_dropout, *rngs = split(call.rng, self.layers + 2)
        positioned = placed(encoding, outside, dataclasses.replace(call, rng=rng_positions), context.window)
        if kept is not None:
            call, positioned = (at(each, place, length) for each in (call, positioned))
        tokens, within, after = context.tokens, self.inner(call, length), []
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
            there = dataclasses.replace(within, rng=rngs[layer], layer=layer)
            x, own = self._block(layer, dims.model_dim)(x, inner, there, here, None if kept is None else kept[layer], place)
            after.append(own)
            if inner.record is not None:
                inner.record("output", x)
        if encoding.depth == self.layers:
            x = embed(outside, x)
        x = x[..., R:, :]
        return x if self.norm == "post" else normed(x, "norm", self.norm_type, self.bias), after

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
            bias=self.bias,
            std=GPT2 if self.init_type == "gpt2" else None,
            name=f"block_{layer}",
        )


def at(call: Call, place: Any, length: int) -> Call:
    """The call of ``length`` queries from a place on, of one of all places."""
    assert call.q_valid is not None  # a text's validity is given
    places = call.q_valid.shape[-1]
    cut = lambda leaf: jax.lax.dynamic_slice_in_dim(leaf, place, length, leaf.ndim - 1)
    whole = completed(call, places, places)
    side = {name: jax.tree.map(cut, getattr(whole, name)) for name in ("q_positions", "q_valid", "q_segments")}
    return dataclasses.replace(whole, **side, consecutive=False)


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
    bias: bool = True,
) -> Transformer:
    """A transformer encoder of ``layers`` blocks with an MLP ``mlp`` times as wide as the model.

    ``norm`` is ``'pre'``, ``x + f(N(x))``; ``'post'``, ``N(x + f(x))``; or ``'sandwich'``, ``x + N'(f(N(x)))``, after Ding et
    al. 2021 (CogView, arXiv 2105.13290). ``norm_type='rms'`` is ``x / √(mean x² + ε) ⊙ g`` (Zhang and Sennrich 2019, arXiv
    1910.07467).

    ``init='depth'`` multiplies what projects into the residual stream, of the mixer and of the MLP, by 1/√(2·layers) at the
    start, so that its variance does not grow with the number of layers (Radford et al. 2019, GPT-2, section 2.3).
    ``init='gpt2'`` draws all matrices of mixers and MLPs from N(0, 0.02²) besides, as its code does; embeddings like that are
    ``config.model.embedding_init=0.02`` with ``embedding_scale=False``.

    ``bias=False`` leaves the biases out of norms and MLPs; those of the mixer are its own option.

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
    return Transformer(layers, mlp, activation, norm, norm_type, gate, init, stochastic_depth, registers, bias)
