"""Rows of several documents, and an encoder over them: what the contract of packing compares."""

import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from attention import specs
from attention.compatibility import check_packing
from attention.layer import DEFAULTS
from attention.models._model import assembled
from attention.records import Call, Context
from tests.support.helpers import jit

D, V, L = 8, 11, 24
PARTS = {**DEFAULTS, "encoder": "bare", "mixer": "attention(heads=2)", "mask": "causal & document"}


class Rows(NamedTuple):
    """Tokens, which of them are valid, segments and positions, all ``[B T]``; segments are None where a row is one document."""

    tokens: Any
    valid: Any
    segments: Any
    positions: Any


def packed(rows: list[list[int]], length: int, seed: int = 0) -> Rows:
    """Documents of the given lengths end to end; a length below 0 is as much padding, in the segment of what comes first."""
    tokens = np.random.default_rng(seed).integers(1, V, (len(rows), length), np.int32)
    found = Rows(tokens, np.zeros(tokens.shape, bool), *(np.zeros_like(tokens) for _ in range(2)))
    for row, number, here in spans(rows):
        found.segments[row, here] = number
        found.positions[row, here] = np.arange(here.stop - here.start)
        found.valid[row, here] = True
    return found


def spans(rows: list[list[int]]) -> list[tuple[int, int, slice]]:
    """The row, the number and the place of each document."""
    ends = [np.cumsum(np.abs(lengths)) for lengths in rows]
    given = [(row, i, count) for row, lengths in enumerate(rows) for i, count in enumerate(lengths) if count > 0]
    return [(row, i, slice(int(ends[row][i]) - count, int(ends[row][i]))) for row, i, count in given]


def alone(rows: list[list[int]], array: Any, fill: Any = 0) -> Any:
    """Each document of ``[B T ...]`` in a row of its own, ``[documents T ...]``."""
    found = np.full((len(spans(rows)), *array.shape[1:]), fill, array.dtype)
    for out, (row, _, here) in zip(found, spans(rows)):
        out[: here.stop - here.start] = array[row, here]
    return found


class Packing(NamedTuple):
    """An encoder: its parameters, and (parameters, embeddings [B T D], Rows) -> states."""

    params: Any
    run: Any


def made(packs: bool = True, **parts: str) -> tuple[Any, Any, Any]:
    """The encoder, its parts and sizes, of a model with several documents in a row. Raises ValueError for what refuses."""
    given = {kind: specs.canonical(kind, spec) for kind, spec in {**PARTS, **parts}.items() if kind != "gate"}
    encoder, mixer, records, dims = assembled(given, dim=D, vocab_size=V, max_length=L, kernel="auto")
    if packs:
        check_packing(encoder, mixer, records, given)
    return dataclasses.replace(encoder, gate=specs.build("gate", parts["gate"])) if "gate" in parts else encoder, records, dims


@functools.cache
def encoder(kernel: str = "dense", **parts: str) -> Packing:
    """The encoder that specs name, with parameters of no special value; the mask is ``causal & document`` unless given."""
    module, records, dims = made(**parts, packs="document" in parts.get("mask", "document"))

    def run(params: Any, x: Any, rows: Rows) -> jax.Array:
        sides = {"positions": rows.positions, "valid": rows.valid, "segments": rows.segments}
        told = {f"{side}_{name}": array for side in "qk" for name, array in sides.items()}
        context = Context(records, {}, tokens=rows.tokens, kernel=kernel)
        return module.apply(params, x, context, Call(**told, max_length=L, packed=records.mask.packs), dims)[0]

    def start(rng: Any, rows: Rows) -> Any:
        context = Context(records, {}, tokens=rows.tokens, kernel=kernel)
        call = Call(q_segments=rows.segments, k_segments=rows.segments, q_valid=rows.valid, k_valid=rows.valid, max_length=L)
        return module.init(rng, jnp.ones((*rows.tokens.shape, D)), context, call, dims)

    draw = np.random.default_rng(0)
    shapes = jax.eval_shape(start, jax.random.key(0), packed([[2]], 2))  # drawn with NumPy: nothing to compile
    return Packing(jax.tree.map(lambda leaf: jnp.asarray(draw.normal(0, 0.4, leaf.shape), leaf.dtype), shapes), run)


def states(x: Any, rows: Rows, kernel: str = "dense", **parts: str) -> Any:
    """Of embeddings ``[B T D]``."""
    params, run = encoder(kernel, **parts)
    return np.asarray(jit(run)(params, x, rows))


def states_and_gradient(x: Any, rows: Rows, upstream: Any, kernel: str = "dense", **parts: str) -> Any:
    """The states, and the gradient by the embeddings."""
    params, run = encoder(kernel, **parts)

    def both(x: Any, rows: Rows, upstream: Any) -> tuple[jax.Array, jax.Array]:
        found, pull = jax.vjp(lambda x: run(params, x, rows), x)
        return found, pull(upstream)[0]

    return jax.tree.map(np.asarray, jit(both)(x, rows, upstream))
