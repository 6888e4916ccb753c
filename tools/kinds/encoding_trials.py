"""What an encoding does, found by looking at its hooks and by running it on a few random tokens."""

import dataclasses
import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import attention
from attention.attend import parts_of, positioned, run
from attention.records import Dims
from tools.kinds.encoding_maps import init, normal

T = 24
SMALL = Dims(4, 4, 8, 32, num_layers=4, max_length=64, vocab_size=11)


class Found(NamedTuple):
    """What trying an encoding out shows, with its default options.

    Attributes:
      enters: where positions come in.
      goes_by: what decides: positions, their distances, their order, the order of the array, or nothing.
      blind: whether a text and the same text backwards are one, without a causal mask.
      random: whether positions are drawn in training.
    """

    enters: list[str]
    goes_by: str
    blind: bool
    random: bool


@functools.cache
def tried(name: str) -> Found:
    """What is found of an encoding."""
    record = attention.build("encoding", name)
    start, gaps = _output(record), np.cumsum(np.random.default_rng(1).integers(1, 3, T))
    same = lambda **options: np.allclose(_output(record, **options), start, atol=1e-4)
    blind = not record.needs_causal and same(backwards=True)
    if same(positions=np.random.default_rng(0).permutation(T)):
        decides = "nothing" if blind else "the order of the array"
    elif same(positions=gaps):
        decides = "the order of the positions"
    else:
        far = 20 if record.max_length else 5000  # some care for positions only far away
        decides = "distances" if same(positions=np.arange(T) + far) else "positions"
    drawn = [_moved(record, attention.Call(train=True, rng=jax.random.key(seed))).q_positions for seed in range(2)]
    moves = drawn[0] is not None
    enters = [*["positions"] * moves, *_hooks(record), *([] if same(layer=SMALL.num_layers - 1) else ["some layers"])]
    return Found(enters or ["nowhere"], decides, blind, moves and not np.array_equal(*drawn))


def _hooks(record: attention.Encoding) -> list[str]:
    """Where positions come in after ``positions``, by the hooks there are."""
    found = []
    if record.embed is not None:
        found.append(f"states after block {record.depth}" if record.depth else "embeddings")
    if record.rotate is not None:
        found.append("rotation")
    if record.bias is not None or record.modify is not None:
        found.append("content" if record.modify is not None or _reads_content(record) else "bias")
    return found + ["values"] * (record.values is not None) + ["mask"] * (record.where is not None)


def _reads_content(record: attention.Encoding) -> bool:
    """Whether the bias is made of what queries, keys or the layer's input hold."""
    prepare = record.prepare
    if prepare is None:
        return False
    x = jnp.zeros((T, SMALL.model_dim))
    heads = x.reshape(T, SMALL.num_heads, SMALL.head_dim)
    call = attention.Call(q_positions=jnp.arange(T), k_positions=jnp.arange(T), max_length=T)
    of_query, of_key, _ = jax.eval_shape(lambda: prepare(init(record, SMALL), x, heads, heads, call))
    return bool(jax.tree.leaves((of_query, of_key)))


def _moved(record: attention.Encoding, call: attention.Call) -> attention.Call:
    return positioned(record, init(record, SMALL), call, (T,), (T,))


def _output(
    record: attention.Encoding, positions: np.ndarray | None = None, backwards: bool = False, layer: int = 0
) -> np.ndarray:
    """Embeddings and one layer of attention on random tokens, off the starting values; masks do not see ``positions``."""
    params, step = init(record, SMALL), -1 if backwards else 1
    leaves, structure = jax.tree.flatten(params)
    params = jax.tree.unflatten(structure, [leaf + 0.3 * normal(*leaf.shape, seed=n) for n, leaf in enumerate(leaves)])
    at = None if positions is None else jnp.asarray(positions, jnp.int32)
    call = attention.Call(max_length=SMALL.max_length, layer=layer)
    moved = _moved(record, dataclasses.replace(call, q_positions=at, k_positions=at))
    x = normal(T, SMALL.model_dim, seed=50)[::step]
    if record.embed is not None:
        x = record.embed(params, x, jnp.zeros(T, jnp.int32), moved)
    heads = x.reshape(T, SMALL.num_heads, SMALL.head_dim)
    parts = parts_of(encoding=record, mask="causal" if record.needs_causal else "full")
    options = {"params": {"encoding": params}, "x": x, "call": call, "encoding_call": moved, "kernel": "dense"}
    return np.asarray(run(parts, heads, heads, heads, **options)[0])[::step]
