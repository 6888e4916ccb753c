"""Attention for models in Equinox: its own layer, with every encoding, score, normalizer and mask."""

import functools
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from attention import caches, module_inputs
from attention.attention_fn import part_of
from attention.layer import KINDS, Layer
from attention.messages import quoted
from attention.projected import SIDES, attended, check_remembers, check_width, embedder
from attention.records import Params, merged

Heads = tuple[jax.Array, jax.Array, jax.Array]


class MultiheadAttention(eqx.nn.MultiheadAttention):
    """``equinox.nn.MultiheadAttention`` made of specs: its arguments, fields and numbers, and the parts beside.

    Parameters of the parts are in the fields ``encoding``, ``score`` and ``normalizer``, None where there are none. So a file
    that ``tree_serialise_leaves`` wrote of its layer is read into one whose parts have none. It differs in one thing: a query
    without an allowed key gets zeros.
    """

    encoding: Params
    score: Params
    normalizer: Params
    specs: tuple[tuple[str, Any], ...] = eqx.field(static=True)

    def __init__(
        self,
        num_heads: int,
        query_size: int,
        *sizes: Any,
        key: jax.Array,
        encoding: Any = "none",
        score: Any = "scaled_dot",
        normalizer: Any = "softmax",
        mask: Any = "full",
        kernel: str = "auto",
        max_length: int | None = None,
        layer: int = 0,
        layers: int = 1,
        shared: bool = False,
        **options: Any,
    ):
        """The arguments of ``equinox.nn.MultiheadAttention``, and the parts.

        Args:
          num_heads, query_size, sizes, key, options: its arguments, by place or by name: ``key_size``, ``dropout_p``, ...
          encoding, score, normalizer, mask: specs or records of the parts. The call's ``mask=`` is an array beside.
          kernel: spec of the kernel.
          max_length: the longest sequence, for parts with a table of positions.
          layer: the 0-based number of the layer, for parts that go by it; under a scan the same for all.
          layers: how many there are.
          shared: whether calls give what layers share, such as T5's table; False where it owns that itself.

        Raises:
          ValueError: for parts that cannot be built or do not go together, and encodings that act on embeddings.

        Example:
          >>> layer = attention.equinox.MultiheadAttention(8, 512, key=key, encoding="alibi", normalizer="entmax15")
          >>> y = jax.vmap(lambda x, valid: layer(x, x, x, valid=valid))(x, valid)
        """
        super().__init__(num_heads, query_size, *sizes, key=key, **options)
        given = {"encoding": encoding, "score": score, "normalizer": normalizer, "mask": mask, "kernel": kernel}
        self.specs = tuple({**given, "max_length": max_length, "number": layer, "layers": layers}.items())
        check_width(self.part, self.vo_size)
        make = self.part.own if shared else self.part.init
        made = make(jax.random.fold_in(key, 4))  # the projections are made of its four parts, 0 to 3
        made = jax.tree.map(lambda leaf: leaf.astype(self.query_proj.weight.dtype), made)
        self.encoding, self.score, self.normalizer = (made.get(kind) for kind in KINDS)

    @property
    def part(self) -> Layer:
        """The parts, as a layer whose projections are this module's."""
        return part_of(self.num_heads, self.num_heads, self.qk_size, self.query_size, **dict(self.specs))

    def shared(self, key: jax.Array) -> dict[str, Params]:
        """What layers like this one share, such as T5's table: what their calls get as ``shared=``."""
        return self.part.shared(key)

    def cache(self, length: int, dtype: Any = None) -> dict[str, Any]:
        """What is remembered before the first of at most ``length`` tokens is read; ``dtype`` is that of the parameters.

        Raises:
          ValueError: for parts under which tokens see later ones, or keys and values of earlier ones are not enough.
        """
        caches.check_causal(self.part)
        check_remembers(self.part)
        dtype = self.query_proj.weight.dtype if dtype is None else dtype
        room = lambda width: jnp.zeros((length, self.num_heads, width), dtype)
        return caches.around((room(self.qk_size), room(self.vo_size)), (length,))

    @jax.named_scope("attention.equinox.MultiheadAttention")
    def __call__(
        self,
        query: jax.Array,
        key_: jax.Array,
        value: jax.Array,
        mask: jax.Array | None = None,
        *,
        key: jax.Array | None = None,
        inference: bool | None = None,
        deterministic: bool | None = None,
        process_heads: Callable[..., Heads] | None = None,
        bias: jax.Array | None = None,
        valid: jax.Array | None = None,
        positions: jax.Array | None = None,
        segments: jax.Array | None = None,
        memory_valid: jax.Array | None = None,
        memory_positions: jax.Array | None = None,
        memory_segments: jax.Array | None = None,
        shared: Mapping[str, Params] | None = None,
        cache: Mapping[str, Any] | None = None,
        return_weights: bool = False,
    ) -> Any:
        """Each token of ``query`` mixed with those of ``value``; for batches under ``jax.vmap``.

        Args:
          query: ``[T query_size]``.
          key_, value: ``[S key_size]`` and ``[S value_size]``. Keys are the queries' tokens where they are the same object,
            ``layer(x, x, x)``, and else others, of which nothing is guessed.
          mask: ``[#N #T #S]`` or ``[#T #S]`` of any type; what is not 0 may be attended to, where the spec's mask allows it.
          key: for dropout, and for parts that draw in training.
          inference: whether nothing is random; None for what the constructor was told.
          deterministic: the old name of ``inference``.
          process_heads: ``(query, key, value) -> (query, key, value)``, heads as projected.
          bias: floating point, as ``mask``, added to the scores.
          valid: bool ``[T]``, False at padding, where nothing is read.
          positions: whole numbers ``[T]``; None for 0, 1, ..., with a cache for those that come next.
          segments: whole numbers ``[T]``, the document of each token of a packed row, for ``mask="document"``.
          memory_valid, memory_positions, memory_segments: of the keys, where these are other tokens.
          shared: what layers share, where the constructor was told ``shared=True``.
          cache: as ``cache`` began it or the call before returned it; S is its length then.
          return_weights: whether to return the weights ``[N T S]`` before dropout, too.

        Returns:
          ``[T output_size]``; where weights or cache are asked for, a tuple of it and these, in that order. Past the end of
          the cache it is NaN.

        Raises:
          ValueError: for arrays that do not fit, or a cache that is known to be full.
          RuntimeError: without a key for dropout, as ``equinox.nn.Dropout``.
        """
        if deterministic is not None:
            warnings.warn("deterministic= is the old name of inference=", stacklevel=2)
            inference = deterministic
        inference = self.dropout.inference if inference is None else inference
        self._check_inputs(query, key_, value)
        module_inputs.check_mask(mask)
        own = {"valid": valid, "positions": positions, "segments": segments}
        memory = {"valid": memory_valid, "positions": memory_positions, "segments": memory_segments}
        same, after = key_ is query, None
        sides, key_sides = module_inputs.sides_of(own, memory, None if same else "and key_ is another object than query")
        if not same:
            module_inputs.check_places(self.part, own, memory, "give one object: layer(x, x, x)")
        query = module_inputs.without_padding("valid", valid, query)
        there = ("valid", valid) if same else ("memory_valid", memory_valid)
        key_, value = (module_inputs.without_padding(*there, each) for each in (key_, value))
        heads = self._heads(query, key_, value, process_heads)
        if cache is not None:
            if not same or process_heads is not None:
                raise ValueError("a cache is of a text that attends to itself, layer(x, x, x), its heads as projected")
            self._check_cache(cache)
            after, sides = caches.grown(cache, heads[1:], sides, query.shape[:1])
            heads, key_sides = (heads[0], *after["kept"]), {name: after[name] for name in SIDES}
        drops = not inference and not (isinstance(self.dropout.p, (int, float)) and self.dropout.p == 0)
        options: dict[str, Any] = {"x": query, "mask": mask, "bias": bias, "sides": sides, "key_sides": key_sides}
        options["drop"] = functools.partial(_dropped, self.dropout, key) if drops else None
        options["rng"] = None if key is None or inference else jax.random.fold_in(key, self.num_heads)  # dropout has 0 to N-1
        params = merged(shared or {}, {kind: tree for kind in KINDS if (tree := getattr(self, kind)) is not None})
        output, weights = attended(self.part, params, *heads, **options, train=not inference, weights=return_weights)
        y = jax.vmap(self.output_proj)(output.reshape(query.shape[0], -1))
        y = y if after is None else caches.within(y, after)
        asked = [found for found, wanted in ((weights, return_weights), (after, cache is not None)) if wanted]
        return (y, *asked) if asked else y

    def _heads(self, query: jax.Array, key_: jax.Array, value: jax.Array, process: Callable[..., Heads] | None) -> Heads:
        """Queries ``[T N H]``, keys ``[S N H]`` and values ``[S N E]``, of one type."""
        projections = ((self.query_proj, query), (self.key_proj, key_), (self.value_proj, value))
        heads = [self._project(projection, x) for projection, x in projections]
        q, k, v = heads if process is None else process(*heads)
        if [q.shape, k.shape, v.shape] != [each.shape for each in heads]:
            raise ValueError("process_heads must not change the shape of the heads")
        wide = jnp.result_type(q, k, v)
        return q.astype(wide), k.astype(wide), v.astype(wide)

    def _check_cache(self, cache: Any) -> None:
        """Refuses what ``cache`` did not make of this layer. Raises ValueError."""
        shapes = lambda tree: (jax.tree.structure(tree), [jnp.shape(leaf) for leaf in jax.tree.leaves(tree)])
        if not isinstance(cache, Mapping) or not {"valid", "length"} <= set(cache) or jnp.ndim(cache["valid"]) != 1:
            raise ValueError(f"cache wants what layer.cache(length) made, got {quoted(cache)}")
        if shapes(cache) != shapes(jax.eval_shape(lambda: self.cache(len(cache["valid"])))):
            sizes = f"{self.num_heads} heads of {self.qk_size} and {self.vo_size}"
            raise ValueError(f"the cache is of another layer than this one with {sizes}: layer.cache(length) makes one")

    def _check_inputs(self, query: jax.Array, key_: jax.Array, value: jax.Array) -> None:
        sizes = (self.query_size, self.key_size, self.value_size)
        for name, array, size in zip(("query", "key_", "value"), (query, key_, value), sizes):
            if array.ndim != 2 or array.shape[-1] != size:
                raise ValueError(f"{name} wants [T {size}], got {array.shape}: batches go through jax.vmap")
        if key_.shape[0] != value.shape[0]:
            raise ValueError(f"key_ and value want the same tokens, got {key_.shape[0]} and {value.shape[0]}")


class PositionalEncoding(eqx.Module):
    """What an encoding adds to embeddings, such as ``sinusoidal`` and ``learned``, before the layer where it acts."""

    encoding: Params
    inference: bool
    specs: tuple[Any, ...] = eqx.field(static=True)

    def __init__(self, encoding: Any, embedding_size: int, *, key: jax.Array, inference: bool = False, **sizes: int | None):
        """An encoding of embeddings ``[T embedding_size]``.

        Args:
          encoding: spec or record; ``none`` adds nothing.
          embedding_size: D.
          key: for parameters.
          inference: as for ``MultiheadAttention``, for encodings that draw in training.
          sizes: ``max_length``, the longest sequence, for a table of positions; ``vocab_size``, number of token ids, for
            encodings with a vector for each.

        Raises:
          ValueError: for an encoding that cannot be built, or acts on scores.

        Example:
          >>> place = attention.equinox.PositionalEncoding("learned", 512, max_length=256, key=key)
          >>> x = jax.vmap(place)(x)
        """
        self.inference, self.specs = inference, (embedding_size, encoding, tuple(sizes.items()))
        self.encoding = self._part.init(key).get("encoding")

    @property
    def _part(self) -> Layer:
        size, encoding, sizes = self.specs
        return embedder(size, encoding, **{"max_length": None, "vocab_size": None, **dict(sizes)})

    def __call__(
        self, x: jax.Array, tokens: Any = None, *, key: Any = None, inference: bool | None = None, **sides: jax.Array | None
    ) -> jax.Array:
        """``x [T D]`` with what the encoding adds to it.

        Args:
          x: the embeddings.
          tokens: their ids, int32 ``[T]``, for an encoding with a vector for each.
          key, inference: as for ``MultiheadAttention``.
          sides: ``valid``, ``positions`` and ``segments``, as for ``MultiheadAttention``.
        """
        inference = self.inference if inference is None else inference
        params = {} if self.encoding is None else {"encoding": self.encoding}
        return self._part.embed(params, x, tokens=tokens, **sides, rng=None if inference else key, train=not inference)


def _dropped(dropout: eqx.nn.Dropout, key: jax.Array | None, weights: jax.Array, block: Any) -> jax.Array:
    """Each head ``[N T S]`` with a key of its own, as Equinox has it, where the weights are whole; else of the block's."""
    if key is None:
        return dropout(weights, key=None, inference=False)  # says that it wants one
    key = key if isinstance(block, int) else jax.random.fold_in(key, block)
    return jax.vmap(lambda weights, key: dropout(weights, key=key, inference=False))(
        weights, jax.random.split(key, len(weights))
    )
