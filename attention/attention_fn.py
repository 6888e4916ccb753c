"""Attention for the ``attention_fn=`` of Flax's own layers, in Linen and in NNX, which pass on the same names.

``attention_fn`` is for parts without parameters; the modules for all parts put the same function, told more, into the layer
that they are made of.
"""

import contextlib
import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from attention import compatibility
from attention.attend import parts_of
from attention.dropout import check_rate
from attention.layer import KINDS, Layer
from attention.projected import SIDES, attended, check_place, parts_of_layer
from attention.records import Encoding, Mask, Normalizer, Params, Score

MODULES = "attention.linen.MultiHeadAttention or attention.nnx.MultiHeadAttention"
_part_of = functools.lru_cache(maxsize=256)(parts_of_layer)  # modules ask for theirs in every call


def part_of(*sizes: int, **options: Any) -> Layer:
    """``parts_of_layer``, made once for equal arguments; what cannot be compared is no part, and is told so there."""
    try:
        return _part_of(*sizes, **options)
    except TypeError:
        return parts_of_layer(*sizes, **options)


class Told(NamedTuple):
    """What a module knows, and the layer of its framework does not pass on.

    Attributes:
      params: of the parts, with what layers share.
      x: what the queries are made of, ``[*B T D]``.
      bias: added to the scores.
      sides, key_sides: as of ``projected.attended``; in a cache ``key_sides`` are those of all that is remembered.
      place: in a cache, says that of the query, once the layer has written there; else None.
      rng: for parts that draw, where the layer drops nothing.
      train: whether this is a training step.
      sow: keeps the weights, in place of the layer.
    """

    params: Mapping[str, Params] = {}
    x: jax.Array | None = None
    bias: jax.Array | None = None
    sides: Mapping[str, Any] = dict.fromkeys(SIDES)
    key_sides: Mapping[str, Any] | None = None
    place: Callable[[], jax.Array] | None = None
    rng: jax.Array | None = None
    train: bool = False
    sow: Callable[..., Any] | None = None


def attention_fn(
    *,
    encoding: str | Encoding = "none",
    score: str | Score = "scaled_dot",
    normalizer: str | Normalizer = "softmax",
    mask: str | Mask = "full",
    kernel: str = "auto",
    max_length: int | None = None,
) -> Callable[..., jax.Array]:
    """Attention for ``attention_fn=`` of ``nn.MultiHeadDotProductAttention`` and ``nnx.MultiHeadAttention``.

    Args:
      encoding, score, normalizer, mask: specs or records of parts without parameters, which need neither embeddings nor the
        input of the layer.
      kernel: spec of the kernel; ``dense`` drops what the framework drops, bit by bit.
      max_length: the longest sequence of training, for parts that read it.

    Returns:
      A function of all that the two layers pass on: query, key and value ``[*B T N H]``, bias, mask, dropout, dtype, precision,
      module, is_causal.

    Raises:
      ValueError: for specs that cannot be built or do not go together, and for parts that a module serves, naming it. The
        function raises it where a part reads positions and there are other queries than keys, as in decoding.

    Example:
      >>> nn.MultiHeadDotProductAttention(8, attention_fn=attention.attention_fn(encoding="alibi", normalizer="entmax15"))

    Deviations: softmax is float32 whatever the type, as are the weights that are sown; a query without an allowed key gets
    zeros.
    """
    options = {"encoding": encoding, "score": score, "normalizer": normalizer, "mask": mask, "kernel": kernel}
    parts = parts_of(encoding, score, normalizer, mask)
    check_place(parts.encoding)
    for kind in KINDS:
        record = getattr(parts, kind)
        if record.init is not None or getattr(record, "shared", None) is not None:
            raise ValueError(f"{kind}={record.spec} has parameters, and a function keeps none: use {MODULES}")
    if compatibility.by_mode(parts):
        kind = "normalizer" if parts.normalizer.by_mode else "encoding"
        spec = getattr(parts, kind).spec
        raise ValueError(f"{kind}={spec} is another in training, which a function is not told of: use {MODULES}")
    made = _made(tuple({**options, "max_length": max_length}.items()))
    try:
        jax.eval_shape(made, *[jax.ShapeDtypeStruct((1, 4, 4, 8), jnp.float32)] * 3)
    except ValueError as error:  # of parts that want more than a layer passes on, such as segments
        raise ValueError(f"{error}; no layer of Flax passes that on: use {MODULES}") from None
    return made


@functools.lru_cache(maxsize=256)  # equal functions are one, as equal modules want
def _made(options: tuple[tuple[str, Any], ...]) -> Callable[..., jax.Array]:
    def part(query: jax.Array, key: jax.Array) -> Layer:
        (*_, T, N, H), (*_, S, K, _) = query.shape, key.shape
        made = part_of(N, K, H, N * H, **dict(options))
        for kind in compatibility.positional(made.parts) if T != S else ():
            raise ValueError(
                f"{kind}={made.given[kind]} reads positions, and of {T} queries among {S} keys, as in decoding, a "
                f"function does not know them: use {MODULES}"
            )
        return made

    return as_attention_fn(part, Told())


def as_attention_fn(part: Callable[[jax.Array, jax.Array], Layer], told: Told) -> Callable[..., jax.Array]:
    """The function that a layer of Flax calls; Linen passes on what stands in its signature alone.

    Args:
      part: the parts, for queries and keys of their shapes.
      told: what the layer does not pass on.
    """

    def attend(
        query: jax.Array,
        key: jax.Array,
        value: jax.Array,
        bias: jax.Array | None = None,
        mask: jax.Array | None = None,
        broadcast_dropout: bool = True,
        dropout_rng: jax.Array | None = None,
        dropout_rate: float = 0.0,
        deterministic: bool = False,
        dtype: Any = None,
        precision: Any = None,
        module: Any = None,
        is_causal: bool = False,
        force_fp32_for_softmax: bool = False,
        qk_attn_weights_einsum: Any = None,
        attn_weights_value_einsum: Any = None,
    ) -> jax.Array:
        if qk_attn_weights_einsum is not None or attn_weights_value_einsum is not None:
            raise ValueError("qk_attn_weights_einsum and attn_weights_value_einsum replace products that are not made here")
        made = part(query, key)
        dtype = jnp.result_type(query, key, value) if dtype is None else dtype
        dropping = not deterministic and dropout_rate > 0
        rng = dropout_rng if dropping else told.rng
        sides, key_sides = (told.sides, told.key_sides) if told.place is None else _in_cache(told, key.shape[-3])
        with _precise(precision):
            output, weights = attended(
                made,
                told.params,
                *(each.astype(dtype) for each in (query, key, value)),
                x=told.x,
                mask=mask,
                bias=_sum(bias, told.bias),
                is_causal=is_causal and told.place is None,  # what a cache holds is past
                sides=sides,
                key_sides=key_sides,
                drop=_drop(dropout_rng, dropout_rate, broadcast_dropout) if dropping else None,
                rng=None if rng is None else jax.random.fold_in(rng, 1),
                train=told.train,
                weights=module is not None,
            )
        if module is not None:
            (told.sow or module.sow)("intermediates", "attention_weights", weights)
        return output

    return attend


def _in_cache(told: Told, L: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """What is known of a query at its place in a cache of ``L``, and of all that is remembered up to it."""
    assert told.place is not None
    assert told.key_sides is not None
    index, sides, key_sides = told.place(), dict(told.sides), dict(told.key_sides)
    written = jnp.arange(L) <= index
    key_sides["valid"] = written if key_sides["valid"] is None else written & key_sides["valid"]
    if sides["positions"] is None:
        sides["positions"], key_sides["positions"] = index[None], jnp.arange(L)
    return sides, key_sides


def _drop(rng: Any, rate: float, broadcast: bool) -> Callable[[jax.Array, Any], jax.Array]:
    """Dropout with the framework's bits; a block of the weights has bits of its own."""

    check_rate(rate)
    if rng is None:
        raise ValueError("dropout in training wants dropout_rng=jax.random.key(...)")

    def drop(weights: jax.Array, block: Any) -> jax.Array:
        key = rng if isinstance(block, int) else jax.random.fold_in(rng, block)
        shape = (1,) * (weights.ndim - 2) + weights.shape[-2:] if broadcast else weights.shape
        kept = jax.random.bernoulli(key, 1.0 - rate, shape)
        return weights * (kept.astype(weights.dtype) / (1.0 - rate))

    return drop


def _precise(precision: Any) -> contextlib.AbstractContextManager[Any]:
    """Products at a precision as the framework takes it. Raises ValueError for one that differs between the operands."""
    if precision is None:
        return contextlib.nullcontext()
    first, second = precision if isinstance(precision, (tuple, list)) else (precision, precision)
    if first != second:
        raise ValueError(f"precision wants one for both operands, got {first} and {second}")
    name = getattr(first, "name", first)
    return jax.default_matmul_precision(name.lower() if isinstance(first, jax.lax.Precision) else name)


def _sum(one: Any, other: Any) -> Any:
    return other if one is None else one if other is None else one + other
