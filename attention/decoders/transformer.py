r"""Blocks of causal attention to what is written, attention to the source, and an MLP.

```math
x \leftarrow x + f(N(x)), \quad f = \text{attention to the text, attention to the source, MLP}
```

L blocks, and a norm at the end. Its attention to the text is under `causal & mask`, with the model's encoding; that to the
source has no encoding, since positions of two texts do not compare, and sees all of it but padding.

Reads the source by: the model's mixer, score and normalizer
When: it trains all places at once. Sources with absolute positions in their states (`sinusoidal`) let it find places; with
relative biases alone, copying has to go by content.
Traps: an encoding or a normalizer that is only defined for earlier keys has no meaning towards the source, and is refused.
Source: Vaswani et al. 2017 (arXiv 1706.03762), with norms before what is added.
"""

import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from flax import linen as nn

from attention import compatibility
from attention.attend import completed, reads
from attention.decoders._decoder import Decoder, Source, cross_parts
from attention.encoders._modules import (
    MLP,
    NORMS,
    Activation,
    NormType,
    dropped,
    layer_params,
    placed,
    prefixed,
    shared_params,
    split,
)
from attention.layer import Layer
from attention.records import Call, Context, Dims, Mixer, Parts

__all__: list[str] = []

ATTENTIONS = ("self", "cross")


class Block(nn.Module):
    """Attention to the text, attention to the source and an MLP, each after a norm and added to its input."""

    mixer: Mixer
    dims: Dims
    parts: dict[str, Parts]
    mlp_width: int
    activation: Activation
    norm_type: NormType

    def setup(self) -> None:
        """Makes the parts of the block."""
        init = self.mixer.init
        assert init is not None  # of a mixer that remembers keys
        sizes = {name: self.dims._replace(reads=reads(self.parts[name])) for name in ATTENTIONS}
        self.layers = {name: Layer(self.mixer, self.parts[name], sizes[name]) for name in ATTENTIONS}
        self.own = {name: self.param(name, init, sizes[name]) for name in ATTENTIONS}
        self.norms = {name: NORMS[self.norm_type]() for name in (*ATTENTIONS, "mlp")}
        self.mlp = MLP(self.mlp_width, self.activation)

    def __call__(self, x: jax.Array, source: jax.Array, contexts: dict[str, Context], calls: dict[str, Call]) -> jax.Array:
        """``[B U D]`` to ``[B U D]``."""
        rngs = split(calls["self"].rng, 5)
        for name, seed, after in zip(ATTENTIONS, rngs, rngs[2:]):
            context = contexts[name]._replace(memory=source if name == "cross" else None)
            call = dataclasses.replace(calls[name], rng=seed)
            layer, params = self.layers[name]._replace(kernel=context.kernel), {**context.params, "mixer": self.own[name]}
            x = x + dropped(layer.run(params, self.normed(name, x), context, call), context, after)
        return x + dropped(self.mlp(self.normed("mlp", x)), contexts["self"], rngs[4])

    def remember(self, name: str, x: jax.Array) -> Any:
        """The keys and values of ``x``."""
        assert self.mixer.remember is not None  # see Transformer.check
        return self.mixer.remember(self.own[name], x)

    def normed(self, name: str, x: jax.Array) -> jax.Array:
        """What a part of the block reads."""
        return self.norms[name](x).astype(x.dtype)


class Transformer(Decoder):
    """A stack of blocks, a norm after the last."""

    layers: int = 2
    mlp: float = 4.0
    activation: Activation = "gelu"
    norm_type: NormType = "layer"
    mixer: Any = None  # set by `attention.models.seq2seq.seq2seq`

    uses: ClassVar[tuple[str, ...]] = ("encoding", "mixer", "score", "normalizer", "mask")

    @nn.nowrap
    def check(self, given: dict[str, str]) -> None:
        """Raises ValueError for a mixer that cannot read a source, and for parts that cannot compare it with the text."""
        if self.mixer.remember is None:
            raise ValueError(f"mixer={given['mixer']}: a decoder wants one that can attend to a source, mixer=attention")
        if (depth := self.parts.encoding.depth) > self.layers:
            raise ValueError(f"the encoding acts before block {depth}, the decoder has {self.layers}")
        compatibility.check_mixer(self.mixer, self.parts, given, {**given, "mask": "full"})
        cross_parts(self.parts, given)

    def setup(self) -> None:
        """Makes the blocks, and the parameters of what they share."""
        self.of = {"self": self.parts, "cross": cross_parts(self.parts)}
        dims = self.dims._replace(num_layers=self.layers)
        here = [dims._replace(layer=layer) for layer in range(self.layers)]
        of = {name: dims._replace(reads=reads(parts), causal=name == "self") for name, parts in self.of.items()}
        self.shared = {name: shared_params(self, parts, of[name], prefix=f"{name}_") for name, parts in self.of.items()}
        self.of_layer = [self._params(of, layer) for layer in range(self.layers)]
        width = round(self.mlp * dims.model_dim)
        self.blocks = [Block(self.mixer, each, self.of, width, self.activation, self.norm_type) for each in here]
        self.norm = NORMS[self.norm_type]()
        if self.width != dims.model_dim:
            self.bridge = nn.Dense(dims.model_dim)

    def _params(self, of: dict[str, Dims], layer: int) -> dict[str, Any]:
        """The parameters of the parts of both attentions, in one layer."""
        return {
            name: layer_params(self, parts, of[name]._replace(layer=layer), self.shared[name], prefix=f"{name}_")
            for name, parts in self.of.items()
        }

    def __call__(self, y: jax.Array, source: Source, context: Context, call: Call) -> jax.Array:
        """Embeddings ``[B U D]`` to states ``[B U D]``."""
        rngs = split(call.rng, self.layers + 1)
        positioned, x = self._embedded(y, context, call)
        x, states = dropped(x, context, rngs[-1]), self._read(source)
        for layer, block in enumerate(self.blocks):
            x = self._positioned(layer, x, context, positioned) if layer else x
            calls = self._calls(dataclasses.replace(call, rng=rngs[layer], layer=layer), source)
            x = block(x, states, self._contexts(layer, context, positioned), calls)
        return self.norm(self._positioned(self.layers, x, context, positioned)).astype(y.dtype)

    def begin(self, source: Source, length: int) -> Any:
        """The keys and values of the source, and room for those of the text; nothing where a layer must read all of it."""
        if not self._remembers:
            return ()
        states = self._read(source)
        made = []
        for block in self.blocks:
            blank = jnp.zeros((*states.shape[:-2], length, self.dims.model_dim), states.dtype)
            room = jax.tree.map(jnp.zeros_like, jax.eval_shape(lambda x, block=block: block.remember("self", x), blank))
            made.append({"self": room, "cross": block.remember("cross", states)})
        return made

    def advance(
        self, y: jax.Array, place: jax.Array, source: Source, remembered: Any, context: Context, call: Call
    ) -> tuple[jax.Array, Any]:
        """The state of a place: of its own query and the keys before it, where these do not change with what follows."""
        one = lambda leaf, axis: jax.lax.dynamic_slice_in_dim(leaf, place, 1, axis)
        if not self._remembers:
            return one(self(y, source, context, call), -2)[..., 0, :], remembered
        positioned, x = self._embedded(y, context, call)
        x, states, remembered = one(x, -2), self._read(source), list(remembered)
        at = lambda call: dataclasses.replace(
            call, q_positions=jax.tree.map(lambda leaf: one(leaf, -1), call.q_positions), q_valid=one(call.q_valid, -1)
        )
        length = y.shape[-2]
        positioned = dataclasses.replace(at(completed(positioned, length, length)), consecutive=False)
        for layer, block in enumerate(self.blocks):
            calls = self._calls(dataclasses.replace(call, layer=layer), source)
            calls["self"] = at(completed(calls["self"], length, length))
            contexts = self._contexts(layer, context, positioned)
            fresh = block.remember("self", block.normed("self", x))
            put = lambda room, new: jax.lax.dynamic_update_slice_in_dim(room, new, place, -3)
            remembered[layer] = {**remembered[layer], "self": jax.tree.map(put, remembered[layer]["self"], fresh)}
            contexts = {name: each._replace(remembered=remembered[layer][name]) for name, each in contexts.items()}
            x = block(x, states, contexts, calls)
        return self.norm(x).astype(y.dtype)[..., 0, :], remembered

    @property
    def _remembers(self) -> bool:
        """Whether the keys and values of a token stay what they are as the text goes on."""
        return not self.parts.encoding.whole and self.parts.encoding.depth == 0

    def _read(self, source: Source) -> jax.Array:
        return source.states if self.width == self.dims.model_dim else self.bridge(source.states).astype(source.states.dtype)

    def _embedded(self, y: jax.Array, context: Context, call: Call) -> tuple[Call, jax.Array]:
        positioned = placed(self.parts.encoding, self.shared["self"].get("encoding", {}), call)
        return positioned, self._positioned(0, y, context, positioned)

    def _positioned(self, layer: int, x: jax.Array, context: Context, positioned: Call) -> jax.Array:
        """With what the encoding does to the embeddings, before the block where it does so."""
        encoding = self.parts.encoding
        if encoding.embed is None or encoding.depth != layer:
            return x
        params = self.of_layer[layer]["self"] if layer < self.layers else self.shared["self"]
        return encoding.embed(params.get("encoding", {}), x, context.tokens, positioned)

    def _contexts(self, layer: int, context: Context, positioned: Call) -> dict[str, Context]:
        made = {}
        for name in ATTENTIONS:
            made[name] = context._replace(
                parts=self.of[name],
                params=self.of_layer[layer][name],
                encoding_call=dataclasses.replace(positioned, layer=layer) if name == "self" else None,
                record=prefixed(context.record, f"layer_{layer}/{name}"),
            )
        return made

    def _calls(self, call: Call, source: Source) -> dict[str, Call]:
        return {
            "self": call,
            "cross": dataclasses.replace(call, k_valid=source.valid, q_positions=None, k_positions=None, prefix=False),
        }


def build(layers: int = 2, mlp: float = 4.0, activation: Activation = "gelu", norm_type: NormType = "layer") -> Transformer:
    """``layers`` blocks with pre-norm, ``x + f(N(x))``, and an MLP ``mlp`` times as wide as the model.

    The attention to the text is the model's mixer under ``causal & mask``, with the model's encoding; that to the source has
    the same score and normalizer, no encoding, and no mask but the source's padding.
    Vaswani et al. 2017 (arXiv 1706.03762), there with norms after the residual connections.
    """
    if layers < 1:
        raise ValueError(f"layers must be >= 1, got {layers}")
    if not mlp > 0:
        raise ValueError(f"mlp must be > 0, got {mlp}")
    return Transformer(layers=layers, mlp=mlp, activation=activation, norm_type=norm_type)
