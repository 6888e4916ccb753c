"""What wrappers share: an encoding inside another, and the tokens whose positions are changed."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from attention.documents import numbered
from attention.positions import packed_segments
from attention.records import Call, Dims, Encoding, Params

HOOKS = ("embed", "prepare", "rotate", "bias", "modify", "where", "values")


def wrap(
    inner: Encoding,
    *,
    positions: Callable[[Call], Call] | None = None,
    seen: Callable[[int | None], int | None] = lambda length: length,
    **facts: Any,
) -> Encoding:
    """``inner`` on other positions. Its parameters go under ``"inner"``; its hooks and facts are handed through.

    Args:
      inner: the encoding.
      positions: what is done to the positions of a call, before the encoding inside does what it does to them.
      seen: how many positions the encoding inside is made for, of how many tokens there are.
      facts: those that are not the inner encoding's own.
    """

    def told(call: Call) -> Call:
        return dataclasses.replace(call, max_length=seen(call.max_length))

    def made(make: Callable[[jax.Array, Dims], Params] | None) -> Callable[[jax.Array, Dims], Params] | None:
        def under(rng: jax.Array, dims: Dims) -> Params:
            assert make is not None
            nested = make(rng, dims._replace(max_length=seen(dims.max_length)))
            return {"inner": nested} if nested else {}

        return None if make is None else under

    def both_positions(params: Params, call: Call) -> Call:
        here, inside = (None, None) if call.rng is None else jax.random.split(call.rng)
        moved = call if positions is None else positions(dataclasses.replace(call, rng=here))
        if inner.positions is not None:
            moved = inner.positions(_inner(params), told(dataclasses.replace(moved, rng=inside)))
        return dataclasses.replace(call, q_positions=moved.q_positions, k_positions=moved.k_positions)

    def handed(hook: Callable[..., Any]) -> Callable[..., Any]:
        return lambda params, *given: hook(_inner(params), *given[:-1], told(given[-1]))

    hooks = {name: handed(hook) for name in HOOKS if (hook := getattr(inner, name)) is not None}
    if positions is not None or inner.positions is not None:
        hooks["positions"] = both_positions
    return inner._replace(**hooks, shared=made(inner.shared), init=made(inner.init), **facts)


def _inner(params: Params) -> Params:
    """The parameters of the encoding inside."""
    return params.get("inner", {})


def positions_of(call: Call, name: str) -> tuple[jax.Array, jax.Array]:
    """Positions of queries and keys ``[*B T]``, ``[*B S]``, 0, 1, ... where the call has none.

    Raises:
      ValueError: where neither positions nor validity say how long the sequences are.
    """
    found = []
    for positions, valid in ((call.q_positions, call.q_valid), (call.k_positions, call.k_valid)):
        if positions is None:
            if valid is None:
                raise ValueError(f"{name} needs to know the tokens: give Call positions, or q_valid and k_valid")
            positions = jnp.arange(valid.shape[-1])
        found.append(positions)
    given = [each for each in (*found, call.q_valid, call.k_valid) if each is not None]
    batch = jnp.broadcast_shapes(*(each.shape[:-1] for each in given))
    q_positions, k_positions = (jnp.broadcast_to(each, (*batch, each.shape[-1])) for each in found)
    return q_positions, k_positions


def sequence_of(call: Call, name: str) -> tuple[jax.Array, jax.Array, jax.Array]:
    """``positions_of`` a sequence that attends to itself, and which of its tokens are valid ``[*B T]``.

    Raises:
      ValueError: where queries and keys are not as many.
    """
    q_positions, k_positions = positions_of(call, name)
    if q_positions.shape != k_positions.shape:
        lengths = f"{q_positions.shape[-1]} queries and {k_positions.shape[-1]} keys"
        raise ValueError(f"{name} moves the tokens of one sequence, as queries and as keys alike: got {lengths}")
    valid = jnp.ones(q_positions.shape, jnp.bool_)
    for each in (call.q_valid, call.k_valid):
        valid = valid if each is None else valid & each
    return q_positions, k_positions, valid


def documents_of(call: Call, valid: jax.Array) -> jax.Array | None:
    """The documents of a sequence that attends to itself, counted from 0, ``[*B T]``; None where a row is one document."""
    segments = packed_segments(call)
    return None if segments is None else numbered(jnp.broadcast_to(segments, valid.shape), valid)


def draws_from(call: Call, name: str) -> jax.Array:
    """The key of a call in training. Raises ValueError where there is none."""
    if call.rng is None:
        raise ValueError(f"{name} draws in training and wants a key: rng= or key= of a layer, call.rng of attend")
    return call.rng
