"""What a layer remembers of the tokens that it has read, so that a text can be written token by token.

Where the keys and values of a token stay what they are as the text goes on, they are remembered; otherwise the inputs of the
layer are, and what is asked for is computed anew from all of them. Either way the tokens read in pieces give what they would
give at once.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from attention.records import Call, Context, Params, Parts

SIDES = {"valid": jnp.bool_, "positions": jnp.int32, "segments": jnp.int32}


def remembers_keys(layer: Any) -> bool:
    """Whether keys and values of a token do not change with what follows, so that they can be kept."""
    return layer.mixer.remember is not None and keys_suffice(layer.parts)


def keys_suffice(parts: Parts) -> bool:
    """Whether the parts need no more of earlier tokens than their keys and values."""
    encoding, normalizer = parts.encoding, parts.normalizer
    return not (encoding.whole or encoding.positions is not None or normalizer.reads == "all")


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
      ValueError: where a token may see later ones, or its position depends on how many there are, so that it cannot be read
        before them.
    """
    check_causal(layer)
    if layer.parts.encoding.redraws:
        raise ValueError(
            f"encoding={layer.given['encoding']} makes positions of how many tokens there are, and in a cache they grow"
        )
    lead = (batch,) if isinstance(batch, int) else tuple(batch)
    blank = jnp.zeros((*lead, length, layer.dims.model_dim), dtype)
    kept: Any = blank
    if remembers_keys(layer):
        own = jax.eval_shape(lambda: layer.own(jax.random.key(0)))
        shapes = jax.eval_shape(lambda params, x: layer.mixer.remember(params.get("mixer", {}), x), own, blank)
        kept = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
    sides = {name: jnp.zeros((*lead, length), kind) for name, kind in SIDES.items()}
    return {"kept": kept, **sides, "length": jnp.int32(0)}


def check_causal(layer: Any) -> None:
    """Refuses a mask under which a token would see later ones. Raises ValueError."""
    if not layer.parts.mask.causal:
        raise ValueError(f"a cache wants a causal mask, and mask={layer.given['mask']} lets a token see later ones")


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
    T, L, start = x.shape[-2], cache["valid"].shape[-1], cache["length"]
    if not isinstance(start, jax.core.Tracer) and start + T > L:
        raise ValueError(f"the cache has room for {L} tokens, and {int(start)} + {T} are to be read")
    tokens, counted = x.shape[:-1], start + jnp.arange(T)
    known = {"valid": True, "positions": counted, "segments": 0}
    told = {name: known[name] if side[name] is None else side[name] for name in SIDES}
    put = lambda room, new, axis: jax.lax.dynamic_update_slice_in_dim(room, new.astype(room.dtype), start, axis)
    after: dict[str, Any] = {
        name: put(cache[name], jnp.broadcast_to(jnp.asarray(told[name]), tokens), x.ndim - 2) for name in SIDES
    }
    keys = {f"k_{name}": after[name] for name in SIDES}
    keep = remembers_keys(layer)
    fresh = layer.mixer.remember(params.get("mixer", {}), x) if keep else x
    after["kept"] = jax.tree.map(lambda room, new: put(room, new, x.ndim - 2), cache["kept"], fresh)
    after["length"] = start + T
    if keep:
        queries = {f"q_{name}": jnp.broadcast_to(jnp.asarray(told[name]), tokens) for name in SIDES}
        y = layer.run(params, x, context._replace(remembered=after["kept"]), Call(**queries, **keys, **options))
    else:
        queries = {f"q_{name}": after[name] for name in SIDES}
        whole = layer.run(params, after["kept"].astype(x.dtype), context, Call(**queries, **keys, **options))
        y = jax.lax.dynamic_slice_in_dim(whole, start, T, whole.ndim - 2)
    return jnp.where(start + T <= L, y, jnp.nan), after
