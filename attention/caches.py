"""What a layer remembers of the tokens that it has read, so that a text can be written token by token.

Where the keys and values of a token stay what they are as the text goes on, they are remembered; otherwise the inputs of the
layer are, and what is asked for is computed anew from all of them. Either way the tokens read in pieces give what they would
give at once.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax.core import Tracer

from attention import arguments
from attention.messages import quoted
from attention.records import Call, Context, Params, Parts

SIDES = {"valid": jnp.bool_, "positions": jnp.int32, "segments": jnp.int32}


def remembers_keys(layer: Any) -> bool:
    """Whether keys and values of a token do not change with what follows, so that they can be kept."""
    return layer.mixer.remember is not None and keys_suffice(layer.parts)


def keys_suffice(parts: Parts) -> bool:
    """Whether the parts need no more of earlier tokens than their keys and values."""
    encoding, normalizer = parts.encoding, parts.normalizer
    return not (encoding.whole or encoding.positions is not None or normalizer.reads == "all")


def check_causal(layer: Any) -> None:
    """Refuses a mask under which a token would see later ones. Raises ValueError."""
    if not layer.parts.mask.causal:
        raise ValueError(f"a cache wants a causal mask, and mask={layer.given['mask']} lets a token see later ones")


def empty(layer: Any, batch: int | tuple[int, ...], length: int, dtype: Any = jnp.float32) -> dict[str, Any]:
    """What is remembered before the first of at most ``length`` tokens is read.

    Args:
      layer: an ``attention.layer.Layer``, under a causal mask.
      batch: B, or the sizes of all axes before the tokens.
      length: L, tokens at most.
      dtype: of the inputs.

    Returns:
      A tree of arrays: "kept" ``[*B L ...]``, "valid", "positions" and "segments" ``[*B L]``, and "length", how many there are.

    Raises:
      ValueError: for sizes or a type that cannot be, where a token may see later ones, and where its position depends on how
        many there are, so that it cannot be read before them.
    """
    check_causal(layer)
    if layer.parts.encoding.redraws:
        raise ValueError(
            f"encoding={layer.given['encoding']} makes positions of how many tokens there are, and in a cache they grow"
        )
    arguments.check_size("length", length, 1)
    if not jnp.issubdtype(dtype, jnp.floating):
        raise ValueError(f"dtype is that of the inputs, which are floating point numbers, got {jnp.dtype(dtype).name}")
    lead = (batch,) if isinstance(batch, int) else tuple(batch)
    blank = jnp.zeros((*lead, length, layer.dims.model_dim), dtype)
    if not remembers_keys(layer):
        return around(blank, (*lead, length))
    own = jax.eval_shape(lambda: layer.own(jax.random.key(0)))
    shapes = jax.eval_shape(lambda params, x: layer.mixer.remember(params.get("mixer", {}), x), own, blank)
    return around(jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes), (*lead, length))


def around(kept: Any, tokens: tuple[int, ...]) -> dict[str, Any]:
    """A cache without tokens, with room for ``kept``, leaves ``[*B L ...]``; ``tokens`` are the sizes ``(*B, L)``."""
    return {"kept": kept, **{name: jnp.zeros(tokens, kind) for name, kind in SIDES.items()}, "length": jnp.int32(0)}


def check(layer: Any, cache: Any, x: jax.Array, memory: Any) -> None:
    """Refuses what ``empty`` did not make of the layer, other texts than it is of, and a memory. Raises ValueError."""
    if memory is not None:
        raise ValueError("a cache is of the tokens that are read, and a memory is all there: give one of the two")
    if not isinstance(cache, Mapping) or set(cache) != {"kept", "length", *SIDES}:
        raise ValueError(f"cache wants what layer.cache(batch, length) made, got {quoted(cache)}")
    *lead, L = cache["valid"].shape
    if tuple(lead) != x.shape[:-2]:
        raise ValueError(f"the cache is of a batch of shape {tuple(lead)}, and x of {x.shape[:-2]}")
    shapes = lambda tree: (jax.tree.structure(tree), [leaf.shape for leaf in jax.tree.leaves(tree)])
    if shapes(cache) != shapes(jax.eval_shape(lambda: empty(layer, tuple(lead), L))):
        raise ValueError(f"the cache is of another layer than one with {', '.join(f'{k}={v}' for k, v in layer.given.items())}")


def advanced(
    layer: Any,
    params: Mapping[str, Params],
    x: jax.Array,
    cache: Mapping[str, Any],
    side: Mapping[str, Any],
    context: Context,
    options: Mapping[str, Any],
) -> tuple[jax.Array, dict[str, Any]]:
    """The output for tokens ``[*B T D]`` that follow those remembered, and what is remembered after them.

    Past the end of the cache the output is NaN; where its length is concrete, that is refused.
    """
    T, L, start, axis = x.shape[-2], cache["valid"].shape[-1], cache["length"], x.ndim - 2
    keep = remembers_keys(layer)
    fresh = layer.mixer.remember(params.get("mixer", {}), x) if keep else x
    after, told = grown(cache, fresh, side, x.shape[:-1])
    keys = {f"k_{name}": after[name] for name in SIDES}
    if keep:
        call = Call(**{f"q_{name}": told[name] for name in SIDES}, **keys, **options)
        y = layer.run(params, x, context._replace(remembered=after["kept"]), call)
    else:
        call = Call(**{f"q_{name}": after[name] for name in SIDES}, **keys, **options)
        whole = layer.run(params, after["kept"].astype(x.dtype), _of_all_rows(context, start, T, L), call)
        y = jax.lax.dynamic_slice_in_dim(whole, start, T, axis)
    return within(y, after), after


def grown(
    cache: Mapping[str, Any], fresh: Any, side: Mapping[str, Any], tokens: tuple[int, ...]
) -> tuple[dict[str, Any], dict[str, jax.Array]]:
    """The cache after tokens ``(*B, T)`` more, and what is known of these.

    Args:
      cache: as ``around`` made it, or this.
      fresh: what is to be kept of the tokens, leaves ``[*B T ...]``.
      side: "valid", "positions" and "segments" of the tokens, or None: they are valid, come next, and are of segment 0.
      tokens: the sizes.

    Raises:
      ValueError: where there is no room, and the number of the tokens there are is concrete.
    """
    T, L, start = tokens[-1], cache["valid"].shape[-1], cache["length"]
    if not isinstance(start, Tracer) and start + T > L:
        raise ValueError(f"the cache has room for {L} tokens, and {int(start)} + {T} are to be read")
    known = {"valid": True, "positions": start + jnp.arange(T), "segments": 0}
    told = {name: jnp.broadcast_to(jnp.asarray(known[name] if side[name] is None else side[name]), tokens) for name in SIDES}
    put = lambda room, new: jax.lax.dynamic_update_slice_in_dim(room, new.astype(room.dtype), start, len(tokens) - 1)
    after: dict[str, Any] = {name: put(cache[name], told[name]) for name in SIDES}
    return {"kept": jax.tree.map(put, cache["kept"], fresh), **after, "length": start + T}, told


def within(y: jax.Array, cache: Mapping[str, Any]) -> jax.Array:
    """The output where the cache had room, and NaN else."""
    return jnp.where(cache["length"] <= cache["valid"].shape[-1], y, jnp.nan)


def _of_all_rows(context: Context, start: Any, T: int, L: int) -> Context:
    """The context of T queries from ``start`` on as one of all L: what is given is theirs, and what is recorded, too."""

    def among(given: jax.Array | None, fill: Any) -> jax.Array | None:
        if given is None or given.shape[-2] == 1:
            return given
        room = jnp.full((*given.shape[:-2], L, given.shape[-1]), fill, given.dtype)
        return jax.lax.dynamic_update_slice_in_dim(room, given, start, given.ndim - 2)

    record = context.record
    if record is not None:
        kept = record
        record = lambda name, rows: kept(name, jax.lax.dynamic_slice_in_dim(rows, start, T, rows.ndim - 2))
    return context._replace(where=among(context.where, True), bias=among(context.bias, 0), record=record)
