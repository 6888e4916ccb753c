"""Blocks of a mixer and an MLP, each added to its input, with layer norm before (pre) or after (post)."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any, Literal

import jax
from flax import linen as nn

from attention.attend import reads
from attention.dropout import dropout
from attention.gates import Gate, GateName, build_gate
from attention.records import Call, Context, Dims, Mixer

__all__: list[str] = []

Activation = Literal["gelu", "relu", "swiglu"]
KINDS = ("encoding", "score", "normalizer")


class MLP(nn.Module):
    """``W₂ φ(W₁ x)`` for gelu and relu, ``W₂ (silu(W₁ x) ⊙ W₃ x)`` for swiglu (Shazeer 2020, arXiv 2002.05202)."""

    width: int
    activation: Activation

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """``[B T D]`` to ``[B T D]``."""
        dense = lambda features, name: nn.Dense(features, dtype=x.dtype, name=name)
        h = dense(self.width, "in")(x)
        if self.activation == "swiglu":
            h = nn.silu(h) * dense(self.width, "gate")(x)
        else:
            h = nn.gelu(h) if self.activation == "gelu" else nn.relu(h)
        return dense(x.shape[-1], "out")(h)


class Block(nn.Module):
    """A mixer and an MLP with their residual connections; a gate may stand before the mixer, after a norm that is there."""

    mixer: Mixer
    width: int
    activation: Activation
    norm: Literal["pre", "post"]
    gate: Gate | None = None

    @nn.compact
    def __call__(self, x: jax.Array, context: Context, call: Call, dims: Dims) -> jax.Array:
        """``[B T D]`` to ``[B T D]``."""
        rng_mixer, *rngs = _split(call.rng, 3)
        own = self.param("mixer", self.mixer.init, dims)
        gate = self.gate
        weights = self.param("gate", gate.init, x.shape[-1]) if gate is not None else {}
        passed = lambda x: x if gate is None else gate.apply(weights, x)
        mix = lambda x: self.mixer.apply(own, passed(x), context, dataclasses.replace(call, rng=rng_mixer))
        mlp = MLP(self.width, self.activation, name="mlp")
        for name, step, rng in (("mixer_norm", mix, rngs[0]), ("mlp_norm", mlp, rngs[1])):
            norm = nn.LayerNorm(dtype=x.dtype, name=name)
            added = step(norm(x) if self.norm == "pre" else x)
            added = added if context.dropout is None else dropout(added, context.dropout, rng)
            x = x + added if self.norm == "pre" else norm(x + added)
        return x


class Transformer(nn.Module):
    """A stack of blocks; a pre-norm stack ends with a norm of its own."""

    layers: int
    mlp: float
    activation: Activation
    norm: Literal["pre", "post"]
    gate: Gate | None = None
    mixer: Any = None  # set by `attention.model.classifier`

    uses = ("encoding", "mixer")
    mixes = True

    @nn.compact
    def __call__(self, x: jax.Array, context: Context, call: Call, dims: Dims) -> jax.Array:
        """Embeddings ``[B T D]`` to states ``[B T D]``."""
        encoding = context.parts.encoding
        if encoding.depth > self.layers:
            raise ValueError(f"the encoding acts before block {encoding.depth}, the encoder has {self.layers}")
        records = {kind: getattr(context.parts, kind) for kind in KINDS}
        dims = dims._replace(num_layers=self.layers, layer=None, reads=reads(context.parts))
        shared = {kind: self.param(kind, record.init, dims) for kind, record in records.items()}
        rng_positions, rng_dropout, *rngs = _split(call.rng, self.layers + 2)
        encoding_call = encoding.positions((shared["encoding"], {}), dataclasses.replace(call, rng=rng_positions))
        for layer in range(self.layers):
            here = dims._replace(layer=layer)
            params = {kind: (shared[kind], self.param(f"{kind}_{layer}", r.init, here)) for kind, r in records.items()}
            if encoding.depth == layer:
                x = encoding.embed(params["encoding"], x, context.tokens, encoding_call)
            if layer == 0 and context.dropout is not None:
                x = dropout(x, context.dropout, rng_dropout)
            inner = context._replace(
                params=params,
                encoding_call=dataclasses.replace(encoding_call, layer=layer),
                record=_prefixed(context.record, f"layer_{layer}"),
            )
            width = round(self.mlp * dims.model_dim)
            block = Block(self.mixer, width, self.activation, self.norm, self.gate, name=f"block_{layer}")
            x = block(x, inner, dataclasses.replace(call, rng=rngs[layer], layer=layer), here)
            if inner.record is not None:
                inner.record("output", x)
        if encoding.depth == self.layers:
            x = encoding.embed((shared["encoding"], {}), x, context.tokens, encoding_call)
        return nn.LayerNorm(dtype=x.dtype, name="norm")(x) if self.norm == "pre" else x


def _split(rng: jax.Array | None, count: int) -> list[Any]:
    return [None] * count if rng is None else list(jax.random.split(rng, count))


def _prefixed(record: Callable[[str, Any], None] | None, prefix: str) -> Callable[[str, Any], None] | None:
    return None if record is None else lambda name, value: record(f"{prefix}/{name}", value)


def build(
    layers: int = 2,
    mlp: float = 4.0,
    activation: Activation = "gelu",
    norm: Literal["pre", "post"] = "pre",
    gate: GateName = "none",
    gate_bias: float = 2.0,
) -> Transformer:
    """A transformer encoder of ``layers`` blocks with an MLP ``mlp`` times as wide as the model.

    ``gate`` acts on what the mixer of each block reads, which with ``norm='pre'`` is the normed input; the residual
    connection passes by it. ``'residual'`` is ``(1 + w)⊙x`` and ``'mult'`` ``w⊙x``, which after a norm is what its own scale
    does; ``'input'`` is ``x⊙σ(xW + b)``, b at ``gate_bias`` at the start.
    Vaswani et al. 2017 (arXiv 1706.03762); pre-norm after Xiong et al. 2020 (arXiv 2002.04745).
    """
    if layers < 1:
        raise ValueError(f"layers must be >= 1, got {layers}")
    if not mlp > 0:
        raise ValueError(f"mlp must be > 0, got {mlp}")
    if not math.isfinite(gate_bias):
        raise ValueError(f"gate_bias must be a finite number, got {gate_bias}")
    if gate_bias != 2.0 and gate != "input":
        raise ValueError(f"gate_bias is for gate='input', got gate={gate!r}")
    return Transformer(layers, mlp, activation, norm, build_gate(gate, gate_bias))
