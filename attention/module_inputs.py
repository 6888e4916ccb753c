"""What a module of another framework checks of its call, and makes of its inputs, before they are projected."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.core import Tracer

from attention import arguments, broadcast, compatibility, projected
from attention.layer import Layer
from attention.projected import SIDES
from attention.records import Mask


class Place(NamedTuple):
    """Where the next token goes in a cache of Flax.

    Attributes:
      at: how many tokens there are.
      room: how many there may be.
    """

    at: jax.Array
    room: int


def sides_of(own: Mapping[str, Any], memory: Mapping[str, Any], apart: str | None) -> tuple[Mapping[str, Any], Any]:
    """What is known of queries and keys, as ``projected.attended`` wants it.

    Args:
      own: "valid", "positions" and "segments" as given of the queries.
      memory: as given of the keys.
      apart: why the keys are others than the queries; None for self-attention.

    Raises:
      ValueError: for what is given of keys that there are not, or of one side alone.
    """
    for name in SIDES:
        if apart is None and memory[name] is not None:
            raise ValueError(f"memory_{name} is of keys that are not the queries, and here they are: give {name}")
        if apart and own[name] is not None and memory[name] is None:
            raise ValueError(f"{name} is of the queries alone, {apart}: give memory_{name} of the keys, too")
        if apart and name != "valid" and own[name] is None and memory[name] is not None:
            raise ValueError(f"memory_{name} is of the keys alone, {apart}: give {name} of the queries, too")
    return own, None if apart is None else memory


def check_mask(mask: Any) -> None:
    """Refuses a spec where an array is wanted. Raises ValueError."""
    if isinstance(mask, (str, Mask)):
        spec = mask if isinstance(mask, str) else mask.spec or "..."
        raise ValueError(f"mask of a call wants an array, and mask={spec!r} is a spec: give it to the constructor")


def check_places(part: Layer, own: Mapping[str, Any], memory: Mapping[str, Any], same: str) -> None:
    """Refuses other keys than the queries, of which it is not said where both stand, where a part reads it.

    Args:
      part: the parts.
      own, memory: "positions" of the queries and of the keys.
      same: what to do where they are the same tokens.

    Raises:
      ValueError: naming both ways out.
    """
    if own["positions"] is not None and memory["positions"] is not None:
        return
    for kind in compatibility.positional(part.parts):
        raise ValueError(
            f"{kind}={part.given[kind]} reads positions, and of other keys than the queries none are guessed: "
            f"give positions and memory_positions, or, where they are the same tokens, {same}"
        )


def without_padding(name: str, valid: Any, x: jax.Array) -> jax.Array:
    """Inputs ``[*B T D]`` with 0 at padding, so that NaN there reaches neither the output nor a gradient."""
    if valid is not None:
        arguments.check_tokens(name, "valid", valid, x.shape[:-1])
    return broadcast.only_valid(x, valid)


def of_flax(
    part: Layer,
    inputs: tuple[jax.Array, jax.Array | None, jax.Array | None],
    own: Mapping[str, Any],
    memory: Mapping[str, Any],
    place: Place | None,
) -> tuple[tuple[jax.Array, jax.Array | None, jax.Array | None], Mapping[str, Any], Mapping[str, Any] | None]:
    """The inputs without what stands at padding, and what is known of queries and keys, as ``sides_of`` has it.

    Args:
      part: the parts.
      inputs: of queries, keys and values, as the framework takes them; keys that are the queries' very object are the same
        tokens, and others are not.
      own, memory: "valid", "positions" and "segments" of the queries, and of the keys or of a whole cache.
      place: in a cache, that of the token.

    Raises:
      ValueError: for what does not fit, other keys of which something is not known, and a cache that is known to be full.
    """
    query, key, value = inputs
    same = key is None or key is query
    others = None if same else "and inputs_k is another object than inputs_q"
    sides, key_sides = sides_of(own, memory, others if place is None else "and a cache holds more")
    if not same:
        check_places(part, own, memory, "leave inputs_k out")
    here, there = ("valid", own["valid"]), ("memory_valid", memory["valid"])
    if place is not None:
        _check_room(part, place)
        there = (there[0], _at(place, there[1], query.shape[:-2]))
        here = there if same else here
    query = without_padding(*here, query)
    if key is not None:
        key = query if same else without_padding(*there, key)
    if value is not None:
        value = without_padding(*(here if same else there), value)
    return (query, key, value), sides, key_sides


def within(y: jax.Array, place: Place | None) -> jax.Array:
    """The output where the cache had room, and NaN else."""
    return y if place is None else jnp.where(place.at < place.room, y, jnp.nan)


def _check_room(part: Layer, place: Place) -> None:
    """Refuses a cache that cannot remember, or is full. Raises ValueError."""
    projected.check_remembers(part)
    if not isinstance(place.at, Tracer) and place.at >= place.room:
        raise ValueError(f"the cache has room for {place.room} tokens, and {int(place.at)} + 1 are to be read")


def _at(place: Place, valid: Any, batch: tuple[int, ...]) -> Any:
    """What is said of the token at its place, ``[*#B 1]``, of all that are in the cache."""
    if valid is None:
        return None
    arguments.check_tokens("memory_valid", "valid", valid, (*batch, place.room))
    return jax.lax.dynamic_index_in_dim(jnp.asarray(valid), place.at, -1)
