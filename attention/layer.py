"""Attention as a layer with parameters, for anybody's model: pure ``init`` and ``apply``, made of specs.

``layer`` makes one, with any mixer, encoding, score, normalizer and mask; ``stack`` makes several, with what they share, such
as T5's table, in one place. Encoders, decoders and the modules of other frameworks are made of them.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from attention import arguments, caches, compatibility, specs
from attention.attend import parts_of, positioned, reads
from attention.broadcast import only_valid
from attention.dropout import check_rate
from attention.kernels import Ask, chosen
from attention.messages import quoted
from attention.records import Call, Context, Dims, Mixer, Params, Parts, merged

DEFAULTS = {"mixer": "attention", "encoding": "none", "score": "scaled_dot", "normalizer": "softmax", "mask": "full"}
KINDS = ("encoding", "score", "normalizer")  # of the parts, those that may have parameters


class Layer(NamedTuple):
    """A mixer with its parts and sizes; ``layer`` makes one.

    Parameters are ``{"mixer": ..., "encoding": ..., "score": ..., "normalizer": ...}``, without those that have none.
    """

    mixer: Mixer
    parts: Parts
    dims: Dims
    kernel: str = "auto"

    def shared(self, rng: jax.Array) -> dict[str, Params]:
        """What all layers of a stack share, under "encoding"; empty where nothing is."""
        hook = self.parts.encoding.shared
        return {} if hook is None else _filled({"encoding": hook(rng, self.dims)})

    def own(self, rng: jax.Array) -> dict[str, Params]:
        """What this layer has of its own."""
        hooks = {"mixer": self.mixer.init, **{kind: getattr(self.parts, kind).init for kind in KINDS}}
        rngs = dict(zip(hooks, jax.random.split(rng, len(hooks))))
        return _filled({kind: hook(rngs[kind], self.dims) for kind, hook in hooks.items() if hook is not None})

    def init(self, rng: jax.Array) -> dict[str, Params]:
        """The parameters of a layer that stands alone: its own, with what others would share."""
        return merged(self.shared(jax.random.fold_in(rng, 1)), self.own(rng))

    def apply(
        self,
        params: Mapping[str, Params],
        x: jax.Array,
        *,
        shared: Mapping[str, Params] | None = None,
        memory: jax.Array | None = None,
        memory_valid: jax.Array | None = None,
        memory_positions: jax.Array | None = None,
        memory_segments: jax.Array | None = None,
        where: jax.Array | None = None,
        bias: jax.Array | None = None,
        valid: jax.Array | None = None,
        positions: jax.Array | None = None,
        segments: jax.Array | None = None,
        rng: jax.Array | None = None,
        dropout: Any = 0.0,
        train: bool = False,
        weights: bool = False,
        cache: Any = None,
    ) -> Any:
        """``x`` with each token mixed with those that it attends to.

        An encoding that acts on embeddings does so in ``embed``, and not here.

        Args:
          params: as ``init`` makes them.
          x: ``[*B T D]``, floating point.
          shared: what the layers share, where ``params`` are ``own``.
          memory: ``[*B S D]`` to attend to, in place of ``x``: cross-attention.
          memory_valid, memory_positions, memory_segments: of the memory, as those of ``x``.
          where: bool ``[*#B #N #T #S]``, True = may attend, in addition to the mask and to padding; S is the length of a cache.
          bias: float ``[*#B #N #T #S]``, added to the scores.
          valid: bool ``[*#B T]``, False at padding, which changes nothing, whatever stands there.
          positions: whole numbers ``[*#B T]``; None for 0, 1, ..., in a cache for those that come next.
          segments: whole numbers ``[*#B T]``, the document of each token of a packed row, for ``mask="document"``.
          rng: key of all that is random in training.
          dropout: rate on the weights, in [0, 1), a number or a traced scalar; nothing is dropped but in training.
          train: whether this is a training step.
          weights: whether to return the weights, too.
          cache: what is remembered of the tokens before ``x``, as ``cache`` begins it.

        Returns:
          ``[*B T D]``; with ``weights`` or ``cache`` also a dictionary of what was asked for: "weights" float32
          ``[*B N T S]`` before dropout, and "cache", to be given to the next call.

        Raises:
          ValueError: for arrays, parameters or parts that do not fit, naming them.

        Example:
          >>> layer = attention.layer(dim=32, mixer="attention(heads=4)", encoding="shaw", normalizer="entmax15")
          >>> params = layer.init(jax.random.key(0))
          >>> y = layer.apply(params, x, valid=lengths[:, None] > jnp.arange(x.shape[1]))
        """
        asked = {"weights": weights, "cache": cache is not None}
        q_side = {"valid": valid, "positions": positions, "segments": segments}
        k_side = {"valid": memory_valid, "positions": memory_positions, "segments": memory_segments}
        self._check_inputs(x, memory, q_side, k_side)
        params = merged(shared or {}, params)
        self._check_params(params)
        x, memory = only_valid(x, valid), None if memory is None else only_valid(memory, memory_valid)
        if cache is not None:
            caches.check(self, cache, x, memory)
        keys = cache["valid"].shape[-1] if cache is not None else (x if memory is None else memory).shape[-2]
        self._check_scores(x, keys, where, bias, weights)
        rate = _rate(dropout, train, rng)
        found: dict[str, Any] = {}
        kept = found.__setitem__ if weights else None
        options = {"rng": rng, "train": train, "layer": self.dims.layer, "max_length": self.dims.max_length}
        context = Context(self.parts, {}, dropout=rate, memory=memory, record=kept, where=where, bias=bias)
        if cache is not None:
            y, found["cache"] = caches.advanced(self, params, x, cache, q_side, context, options)
        else:
            call = _call(q_side, q_side if memory is None else k_side, options)
            arguments.check_positions(self.parts, call, x.shape[-2], keys, self.given, apart=memory is not None)
            y = self.run(params, x, context, call)
        return (y, {name: found[name] for name, wanted in asked.items() if wanted}) if any(asked.values()) else y

    def run(self, params: Mapping[str, Params], x: jax.Array, context: Context, call: Call) -> jax.Array:
        """``apply`` for what has been checked, and put into a context and a call: what encoders and decoders call."""
        of_parts = {kind: params[kind] for kind in KINDS if kind in params}
        call = dataclasses.replace(call, packed=self.parts.mask.packs)
        context = context._replace(parts=self.parts, params=of_parts, kernel=self.kernel)
        if context.encoding_call is None:
            keys = x if context.memory is None else context.memory
            encoding = self.parts.encoding
            moved = positioned(encoding, of_parts.get("encoding", {}), call, x.shape[:-1], keys.shape[:-1])
            context = context._replace(encoding_call=moved)
        return self.mixer.apply(params.get("mixer", {}), x, context, call)

    def embed(
        self,
        params: Mapping[str, Params],
        x: jax.Array,
        *,
        tokens: jax.Array | None = None,
        valid: jax.Array | None = None,
        positions: jax.Array | None = None,
        segments: jax.Array | None = None,
        rng: jax.Array | None = None,
        train: bool = False,
    ) -> jax.Array:
        """The embeddings ``[*B T D]`` with what the encoding adds to them; as they are where it adds nothing.

        Args:
          params: of the layer, or of what the layers share.
          x: ``[*B T D]``, before the first layer.
          tokens: int32 ``[*B T]``, their ids, for an encoding with a vector for each.
          valid, positions, segments, rng, train: as of ``apply``.
        """
        side = {"valid": valid, "positions": positions, "segments": segments}
        self._check_inputs(x, None, side, {})
        hook = self.parts.encoding.embed
        if hook is None:
            return x
        of_encoding = params.get("encoding", {})
        told = {"rng": rng, "train": train, "max_length": self.dims.max_length, "packed": self.parts.mask.packs}
        call = _call(side, side, told)
        return hook(of_encoding, x, tokens, positioned(self.parts.encoding, of_encoding, call, x.shape[:-1], x.shape[:-1]))

    def cache(self, batch: int | tuple[int, ...], length: int, dtype: Any = jnp.float32) -> Any:
        """What is remembered before the first of at most ``length`` tokens is read; ``caches.empty``."""
        return caches.empty(self, batch, length, dtype)

    @property
    def given(self) -> dict[str, str]:
        """The spec of each kind, for messages."""
        records = {"mixer": self.mixer, **self.parts._asdict()}
        return {kind: record.spec or "..." for kind, record in records.items()}

    def _check_inputs(self, x: jax.Array, memory: Any, q_side: Mapping[str, Any], k_side: Mapping[str, Any]) -> None:
        arguments.check_switches()
        for name, array in {"x": x, "memory": memory}.items():
            if array is not None:
                arguments.check_states(name, array, self.dims.model_dim)
        if memory is not None and memory.shape[:-2] != x.shape[:-2]:
            raise ValueError(f"x [*B T D] and memory [*B S D] want one batch, got {x.shape} and {memory.shape}")
        for prefix, side, states in (("", q_side, x), ("memory_", k_side, memory)):
            for name, array in side.items():
                if array is None:
                    continue
                if states is None:
                    raise ValueError(f"{prefix}{name} is of a memory, and none is given")
                arguments.check_tokens(f"{prefix}{name}", name, array, states.shape[:-1])

    def _check_params(self, params: Mapping[str, Params]) -> None:
        of_parts = {kind: tree for kind, tree in params.items() if kind != "mixer"}
        arguments.check_params(self.parts, of_parts, self.dims, frozenset(), self.given)
        hooks = () if self.mixer.init is None else (self.mixer.init,)
        arguments.check_tree("mixer", self.given["mixer"], hooks, params.get("mixer", {}), self.dims)

    def _check_scores(self, x: jax.Array, keys: int, where: Any, bias: Any, weights: bool) -> None:
        asked = {"where": where is not None, "bias": bias is not None, "weights": weights}
        for name, given in asked.items():
            if given and not self.mixer.attends:
                raise ValueError(f"{name} is of scores, and mixer={self.given['mixer']} has none")
        scores = (*x.shape[:-2], self.dims.num_heads, x.shape[-2], keys)
        arguments.check_scores(scores, where, bias)


class Stack(NamedTuple):
    """Layers that share what layers share: ``{"shared": ..., "layers": (...)}``; ``stack`` makes one."""

    layers: tuple[Layer, ...]

    def init(self, rng: jax.Array) -> dict[str, Any]:
        """The parameters of all layers."""
        rngs = jax.random.split(rng, len(self.layers))
        own = tuple(layer.own(each) for layer, each in zip(self.layers, rngs))
        return {"shared": self.layers[0].shared(jax.random.fold_in(rng, 1)), "layers": own}

    def embed(self, params: Mapping[str, Any], x: jax.Array, *, before: int = 0, **options: Any) -> jax.Array:
        """What the encoding adds to ``x`` before a layer: nothing, but before the one where it acts, most often the first."""
        layer = self.layers[min(before, len(self.layers) - 1)]
        if layer.parts.encoding.depth != before:
            return x
        return layer.embed(merged(params["shared"], params["layers"][layer.dims.layer]), x, **options)

    def apply(self, params: Mapping[str, Any], x: jax.Array, number: int, **options: Any) -> Any:
        """The layer of a 0-based number, a static one, as ``Layer.apply``. Raises ValueError for one that is not there."""
        arguments.check_size("number", number, 0)
        if number >= len(self.layers):
            raise ValueError(f"number is that of one of {len(self.layers)} layers, from 0, got {number}")
        return self.layers[number].apply(params["layers"][number], x, shared=params["shared"], **options)


def layer(
    *,
    dim: int,
    mixer: str | Mixer = DEFAULTS["mixer"],
    encoding: Any = DEFAULTS["encoding"],
    score: Any = DEFAULTS["score"],
    normalizer: Any = DEFAULTS["normalizer"],
    mask: Any = DEFAULTS["mask"],
    kernel: str = "auto",
    max_length: int | None = None,
    vocab_size: int | None = None,
    number: int = 0,
    layers: int = 1,
) -> Layer:
    """A layer of attention that specs or records describe.

    Args:
      dim: D, channels of what goes in and comes out.
      mixer: spec or record: ``attention(heads=8, kv_heads=2)``.
      encoding: spec or record of the positional encoding; one that acts on embeddings does so in ``Layer.embed``.
      score: spec or record of the score function.
      normalizer: spec or record of the normalizer.
      mask: spec or record of the mask.
      kernel: spec of the kernel.
      max_length: the longest sequence, for parts with a table of positions.
      vocab_size: number of token ids, for encodings with a vector for each.
      number: the 0-based number of the layer, for parts that start or act by it.
      layers: how many there are.

    Returns:
      A ``Layer``; equal arguments make equal layers.

    Raises:
      ValueError: for a spec that cannot be built, sizes that do not fit, or parts that do not go together, with the reason.

    Example:
      >>> layer = attention.layer(dim=512, mixer="attention(heads=8)", encoding="rope", mask="causal")
    """
    parts = parts_of(encoding, score, normalizer, mask)
    built = specs.build("mixer", mixer) if isinstance(mixer, str) else mixer
    if not isinstance(built, Mixer):
        raise ValueError(f"mixer wants a spec such as 'attention(heads=8)', or a record, got {quoted(built)}")
    for name, size, least in (("dim", dim, 1), ("layers", layers, 1), ("number", number, 0)):
        arguments.check_size(name, size, least)
    if number >= layers:
        raise ValueError(f"number is that of one of {layers} layers, from 0, got {number}")
    N = built.num_heads
    if built.head_dim is None and dim % N:
        raise ValueError(f"mixer={built.spec}: dim {dim} is not a multiple of its {N} heads")
    dims = Dims(N, built.kv_heads, built.head_dim or dim // N, dim, layers, number, max_length, vocab_size, parts.mask.causal)
    made = Layer(built, parts, dims._replace(reads=reads(parts)), kernel)
    compatibility.check_mixer(built, parts, made.given, DEFAULTS)
    compatibility.check_max_length({"mixer": built, "encoding": parts.encoding, "score": parts.score}, max_length, made.given)
    chosen(kernel, Ask(parts, (1, N, 1, 1)))
    jax.eval_shape(made.init, jax.random.key(0))  # parts that cannot be made for these sizes say so
    return made


def stack(*, layers: int, **options: Any) -> Stack:
    """``layers`` layers, which share what layers share; the options are those of ``layer``.

    Example:
      >>> stack = attention.stack(layers=6, dim=512, mixer="attention(heads=8)", encoding="t5", max_length=256)
      >>> params = stack.init(jax.random.key(0))
      >>> y = stack.apply(params, x, 0)
    """
    arguments.check_size("layers", layers, 1)
    return Stack(tuple(layer(**options, number=number, layers=layers) for number in range(layers)))


def _filled(made: dict[str, Params]) -> dict[str, Params]:
    """The trees that have leaves."""
    return {kind: tree for kind, tree in made.items() if jax.tree.leaves(tree)}


def _call(q_side: Mapping[str, Any], k_side: Mapping[str, Any], options: Mapping[str, Any]) -> Call:
    sides = {f"q_{name}": array for name, array in q_side.items()} | {f"k_{name}": array for name, array in k_side.items()}
    return Call(**sides, **options)


def _rate(dropout: Any, train: bool, rng: Any) -> Any:
    """The rate that is dropped at; None where nothing is."""
    check_rate(dropout)
    if not train or (isinstance(dropout, (int, float)) and dropout == 0):
        return None
    if rng is None:
        raise ValueError("dropout in training wants rng=jax.random.key(...)")
    return dropout
