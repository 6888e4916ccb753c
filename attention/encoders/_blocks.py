"""A block of a transformer: a mixer and an MLP, with norms, gates and residual connections."""

import dataclasses
import functools
from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import linen as nn

from attention.dropout import dropout
from attention.encoders._modules import dropped, split
from attention.layer import Layer
from attention.records import Call, Context, Dims, Gate, Mixer, Params

Activation = Literal["gelu", "relu", "swiglu"]
Norm = Literal["pre", "post", "sandwich"]
NormType = Literal["layer", "rms"]
NORMS = {"layer": nn.LayerNorm, "rms": nn.RMSNorm}


def normed(x: jax.Array, name: str, norm_type: NormType, bias: bool) -> jax.Array:
    """``x`` after a norm, which is made in the module that is running."""
    options = {} if norm_type == "rms" else {"use_bias": bias}
    return NORMS[norm_type](dtype=x.dtype, name=name, **options)(x)


class MLP(nn.Module):
    """``W₂ φ(W₁ x)`` for gelu and relu, ``W₂ (silu(W₁ x) ⊙ W₃ x)`` for swiglu (Shazeer 2020, arXiv 2002.05202).

    ``scale`` multiplies W₂ at the start; with ``std`` all are N(0, std²) before that.
    """

    width: int
    activation: Activation
    scale: float = 1.0
    bias: bool = True
    std: float | None = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """``[B T D]`` to ``[B T D]``."""
        start = nn.initializers.lecun_normal() if self.std is None else nn.initializers.normal(self.std)
        scaled = lambda *args: self.scale * start(*args)
        options: dict[str, Any] = {"use_bias": self.bias, "dtype": x.dtype}
        dense = lambda features, name: nn.Dense(features, kernel_init=start, name=name, **options)
        h = dense(self.width, "in")(x)
        if self.activation == "swiglu":
            h = nn.silu(h) * dense(self.width, "gate")(x)
        else:
            h = nn.gelu(h) if self.activation == "gelu" else nn.relu(h)
        return nn.Dense(x.shape[-1], kernel_init=scaled, name="out", **options)(h)


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


def put(place: Any, room: jax.Array, new: jax.Array) -> jax.Array:
    """``room`` ``[B L ...]`` with ``new`` ``[B t ...]`` from a place on."""
    return jax.lax.dynamic_update_slice_in_dim(room, new.astype(room.dtype), place, 1)


def redrawn(rng: jax.Array, params: Params, std: float) -> Params:
    """The parameters with all kernels N(0, std²)."""
    leaves, structure = jax.tree.flatten_with_path(params)
    drawn = [
        std * jax.random.normal(each, leaf.shape, leaf.dtype) if path[-1] == jax.tree_util.DictKey("kernel") else leaf
        for each, (path, leaf) in zip(jax.random.split(rng, len(leaves)), leaves)
    ]
    return jax.tree.unflatten(structure, drawn)
