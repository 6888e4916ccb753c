"""Attention for models in Equinox: its own layer, with every encoding, score, normalizer and mask."""

import functools
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from attention import caches
from attention.attention_fn import part_of, sides_of
from attention.layer import KINDS, Layer
from attention.projected import SIDES, attended, check_remembers, embedder
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
    sharing: bool = eqx.field(static=True)
    options: tuple[tuple[str, Any], ...] = eqx.field(static=True)

    def __init__(
        self,
        num_heads: int,
        query_size: int,
        key_size: int | None = None,
        value_size: int | None = None,
        output_size: int | None = None,
        qk_size: int | None = None,
        vo_size: int | None = None,
        use_query_bias: bool = False,
        use_key_bias: bool = False,
        use_value_bias: bool = False,
        use_output_bias: bool = False,
        dropout_p: float = 0.0,
        inference: bool = False,
        dtype: Any = None,
        *,
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
    ):
        """The arguments of ``equinox.nn.MultiheadAttention``, and the parts.

        Args:
          num_heads, query_size, key_size, value_size, output_size, qk_size, vo_size: as there.
          use_query_bias, use_key_bias, use_value_bias, use_output_bias, dropout_p, inference, dtype, key: as there.
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
        sizes = (key_size, value_size, output_size, qk_size, vo_size)
        biases = (use_query_bias, use_key_bias, use_value_bias, use_output_bias)
        super().__init__(num_heads, query_size, *sizes, *biases, dropout_p, inference, dtype, key=key)
        given = {"encoding": encoding, "score": score, "normalizer": normalizer, "mask": mask, "kernel": kernel}
        self.options = (*given.items(), ("max_length", max_length), ("number", layer), ("layers", layers))
        self.sharing = shared
        self._check_widths()
        make = self.part.own if shared else self.part.init
        made = make(jax.random.fold_in(key, 4))  # the projections are made of its four parts, 0 to 3
        made = jax.tree.map(lambda leaf: leaf.astype(self.query_proj.weight.dtype), made)
        self.encoding, self.score, self.normalizer = (made.get(kind) for kind in KINDS)

    @property
    def part(self) -> Layer:
        """The parts, as a layer whose projections are this module's."""
        return part_of(self.num_heads, self.num_heads, self.qk_size, self.query_size, **dict(self.options))

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
          key_, value: ``[S key_size]`` and ``[S value_size]``.
          mask: ``[#N #T #S]`` or ``[#T #S]`` of any type; what is not 0 may be attended to, where the spec's mask allows it.
          key: for dropout, and for parts that draw in training.
          inference: whether nothing is random; None for what the constructor was told.
          deterministic: the old name of ``inference``.
          process_heads: ``(query, key, value) -> (query, key, value)``, heads as projected.
          bias: floating point, as ``mask``, added to the scores.
          valid: bool ``[T]``, False at padding.
          positions: whole numbers ``[T]``; None for 0, 1, ..., with a cache for those that come next.
          segments: whole numbers ``[T]``, the document of each token of a packed row, for ``mask="document"``.
          memory_valid, memory_positions, memory_segments: of the keys, where these are other tokens. Without any
            of them, as many keys as queries are the same tokens.
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
        heads = _processed(process_heads, self._heads(query, key_, value))
        own: dict[str, Any] = dict(zip(SIDES, (valid, positions, segments)))
        memory: dict[str, Any] = dict(zip(SIDES, (memory_valid, memory_positions, memory_segments)))
        (sides, key_sides), after = sides_of(own, memory, _apart(own, memory, query, key_, value)), None
        if cache is not None:
            if key_sides is not None or process_heads is not None:
                raise ValueError(
                    "a cache is of a text that attends to itself, its heads as projected: memory_* and process_heads"
                )
            after, sides = caches.grown(cache, heads[1:], sides, query.shape[:1])
            heads, key_sides = (heads[0], *after["kept"]), {name: after[name] for name in SIDES}
        drops = not inference and not (isinstance(self.dropout.p, (int, float)) and self.dropout.p == 0)
        output, weights = attended(
            self.part,
            self._params(shared),
            *heads,
            x=query,
            mask=mask,
            bias=bias,
            sides=sides,
            key_sides=key_sides,
            drop=functools.partial(_dropped, self.dropout, key) if drops else None,
            rng=None if key is None or inference else jax.random.fold_in(key, self.num_heads),
            train=not inference,
            weights=return_weights,
        )
        y = jax.vmap(self.output_proj)(output.reshape(query.shape[0], -1))
        y = y if after is None else caches.within(y, after)
        asked = [found for found, wanted in ((weights, return_weights), (after, cache is not None)) if wanted]
        return (y, *asked) if asked else y

    def _heads(self, query: jax.Array, key_: jax.Array, value: jax.Array) -> Heads:
        """Queries ``[T N H]``, keys ``[S N H]`` and values ``[S N E]``, of one type."""
        heads = (
            self._project(self.query_proj, query),
            self._project(self.key_proj, key_),
            self._project(self.value_proj, value),
        )
        wide = jnp.result_type(*heads)
        return tuple(each.astype(wide) for each in heads)  # pyright: ignore[reportReturnType]

    def _params(self, shared: Mapping[str, Params] | None) -> dict[str, Params]:
        """What the parts read: their own, with what is shared."""
        if self.sharing and shared is None and self.part.parts.encoding.shared is not None:
            spec = self.part.given["encoding"]
            raise ValueError(f"encoding={spec} has parameters that layers share: give shared=, as shared(key) makes it")
        return merged(shared or {}, {kind: own for kind in KINDS if (own := getattr(self, kind)) is not None})

    def _check_inputs(self, query: jax.Array, key_: jax.Array, value: jax.Array) -> None:
        sizes = (self.query_size, self.key_size, self.value_size)
        for name, array, size in zip(("query", "key_", "value"), (query, key_, value), sizes):
            if array.ndim != 2 or array.shape[-1] != size:
                raise ValueError(f"{name} wants [T {size}], got {array.shape}: batches go through jax.vmap")
        if key_.shape[0] != value.shape[0]:
            raise ValueError(f"key_ and value want the same tokens, got {key_.shape[0]} and {value.shape[0]}")

    def _check_widths(self) -> None:
        acts = {"encoding": self.part.parts.encoding.values, "normalizer": self.part.parts.normalizer.finish}
        for kind, hook in acts.items():
            if hook is not None and self.vo_size != self.qk_size:
                spec = f"{kind}={self.part.given[kind]}"
                raise ValueError(f"{spec} acts on values as wide as keys: vo_size wants {self.qk_size}, got {self.vo_size}")


class PositionalEncoding(eqx.Module):
    """What an encoding adds to embeddings, such as ``sinusoidal`` and ``learned``, before the layer where it acts."""

    encoding: Params
    inference: bool
    options: tuple[Any, ...] = eqx.field(static=True)

    def __init__(
        self,
        encoding: Any,
        embedding_size: int,
        *,
        max_length: int | None = None,
        vocab_size: int | None = None,
        inference: bool = False,
        dtype: Any = None,
        key: jax.Array,
    ):
        """An encoding of embeddings ``[T embedding_size]``; ``vocab_size`` is for those with a vector for each token id.

        Raises:
          ValueError: for an encoding that cannot be built, or acts on scores.

        Example:
          >>> place = attention.equinox.PositionalEncoding("learned", 512, max_length=256, key=key)
          >>> x = jax.vmap(place)(x)
        """
        self.inference = inference
        self.options = (embedding_size, encoding, max_length, vocab_size)
        made = embedder(*self.options).init(key).get("encoding")
        self.encoding = jax.tree.map(lambda leaf: leaf.astype(dtype or leaf.dtype), made)

    def __call__(
        self,
        x: jax.Array,
        tokens: jax.Array | None = None,
        *,
        valid: jax.Array | None = None,
        positions: jax.Array | None = None,
        segments: jax.Array | None = None,
        key: jax.Array | None = None,
        inference: bool | None = None,
    ) -> jax.Array:
        """``x [T D]`` with what the encoding adds; ``tokens`` are ids ``[T]``, the rest is as for ``MultiheadAttention``."""
        sides = {"valid": valid, "positions": positions, "segments": segments}
        params = {} if self.encoding is None else {"encoding": self.encoding}
        inference = self.inference if inference is None else inference
        rng = None if inference else key
        return embedder(*self.options).embed(params, x, tokens=tokens, **sides, rng=rng, train=not inference)


def _processed(process_heads: Callable[..., Heads] | None, heads: Heads) -> Heads:
    if process_heads is None:
        return heads
    found = process_heads(*heads)
    if [each.shape for each in found] != [each.shape for each in heads]:
        raise ValueError("process_heads must not change the shape of the heads")
    return found


def _apart(
    own: Mapping[str, Any], memory: Mapping[str, Any], query: jax.Array, key_: jax.Array, value: jax.Array
) -> str | None:
    """Why the keys are others than the queries; None where they are the same tokens."""
    if any(each is not None for each in memory.values()) or query.shape[0] != key_.shape[0]:
        return "and key_ has others"
    known = [name for name in SIDES if own[name] is not None]
    if known and key_ is value and key_ is not query:
        raise ValueError(f"{known[0]} is of the queries, and the keys may be others: give memory_{known[0]} of the keys, too")
    return None


def _dropped(dropout: eqx.nn.Dropout, key: jax.Array | None, weights: jax.Array, block: Any) -> jax.Array:
    """Each head ``[N T S]`` with a key of its own, as Equinox has it, where the weights are whole; else of the block's."""
    if key is None:
        return dropout(weights, key=None, inference=False)  # says that it wants one
    key = key if isinstance(block, int) else jax.random.fold_in(key, block)
    return jax.vmap(lambda weights, key: dropout(weights, key=key, inference=False))(
        weights, jax.random.split(key, len(weights))
    )
