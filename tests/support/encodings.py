"""What evidence and contract of encodings share: sizes, a layer of attention, references of pairs, and small checks."""

import dataclasses
import functools
import inspect
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import attention
from attention.attend import parts_of, positioned
from attention.attend import run as attended
from attention.records import Call
from tests.support.helpers import DIMS, init, jit, normal, shared_and_own
from tests.support.models import batch, made

D, N, H, L = DIMS.model_dim, DIMS.num_heads, DIMS.head_dim, DIMS.max_length
FAR = np.array([0, 1, 7, 1000, 65537, 999_999, 1_000_000])


def built(spec: str) -> tuple[Any, Any]:
    """The record, and its parameters in a layer."""
    record = attention.build("encoding", spec)
    return record, init(record)


@functools.cache
def layer(spec: str, mask: str = "full") -> tuple[Any, Any]:
    """The record, and embeddings of tokens, `embed` and one layer of attention: all the places where positions can enter."""
    record = attention.build("encoding", spec)

    def run(params, x, call):
        call = dataclasses.replace(call, max_length=L)
        moved = positioned(record, params, call, x.shape[:-1], x.shape[:-1])
        if record.embed is not None:
            x = record.embed(params, x, jnp.zeros(x.shape[:-1], jnp.int32), moved)
        query = key = value = x.reshape(*x.shape[:-1], N, H)
        options = {"params": {"encoding": params}, "x": x, "encoding_call": moved}
        return attended(parts_of(record, mask=mask), query, key, value, call=call, **options)[0]

    return record, jit(run)


def positions(*ranges: Any) -> Call:
    """A call with explicit positions, one range per example."""
    found = jnp.asarray(np.stack(ranges), jnp.int32)
    return Call(found, found)


def embedded(spec: str, x: jax.Array, call: Call | None = None, params: Any = None, tokens: Any = None) -> jax.Array:
    """What `embed` makes of x."""
    return attention.build("encoding", spec).embed(params or {}, x, tokens, call or Call(max_length=L))


def qkx(T: int, S: int, B: int = 2) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Random queries [B T N H], keys [B S N H] and states [B T D]."""
    return normal([7, 0], B, T, N, H), normal([7, 1], B, S, N, H), normal([7, 2], B, T, D)


# References of all pairs, from those of one.


def added(terms: Any) -> Any:
    """Scores of q·k times the scale, and ``terms(q, k, params, i, j, scale, x, text)`` on top."""

    def scores(q, k, params, i, j, scale, x, text):
        return np.einsum("tnh,snh->nts", q, k) * scale + terms(q, k, params, i, j, scale, x, text)

    return scores


def pairs(q: Any, k: Any, term: Any) -> np.ndarray:
    """``term(head, query, key)`` of every pair, by their places in the array."""
    (T, heads, _), S = q.shape, len(k)
    return np.array([[[term(n, a, b) for b in range(S)] for a in range(T)] for n in range(heads)])


def biased(bias: Any) -> Any:
    """Scores of q·k times the scale, and ``bias(params, head, i, j, heads, last)`` on top; ``last`` is the last valid key's."""

    def terms(q, k, params, i, j, scale, x, text):
        last = int(max(j[text]))
        return pairs(q, k, lambda n, a, b: bias(params, n, int(i[a]), int(j[b]), q.shape[1], last))

    return added(terms)


def compared(product: Any) -> Any:
    """Scores of ``product(q, k, i, j, params, head)`` of two vectors and their positions, times the scale."""

    def scores(q, k, params, i, j, scale, x, text):
        return scale * pairs(q, k, lambda n, a, b: product(q[a, n], k[b, n], int(i[a]), int(j[b]), params, n))

    return scores


def coded(code: Any) -> Any:
    """Embeddings and ``code(position, D, params)`` on top."""

    def embed(x, tokens, i, text, params):
        return x + np.stack([code(int(position), x.shape[-1], params) for position in i])

    return embed


def softplus(y: float) -> float:
    return math.log1p(math.exp(y))


def sign(x: float) -> float:
    return math.copysign(1.0, x) if x else 0.0


def relu(x: float) -> float:
    return max(x, 0.0)


def mlp(params: Any, x: Any, h: int, activation: Any) -> float:
    """Output h of a network of one hidden layer."""
    first, out = params["in"], params["out"]
    total = out["bias"][h] if "bias" in out else 0.0
    for unit in range(len(first["bias"])):
        inner = sum(x[n] * first["kernel"][n][unit] for n in range(len(x))) + first["bias"][unit]
        total += activation(inner) * out["kernel"][unit][h]
    return total


# Checks that several variants call.


def shows_direction(spec: str, mask: str = "full") -> bool:
    """Whether reading nine tokens backwards gives other states than the same ones backwards."""
    record, run = layer(spec, mask)
    params, x, call = init(record), normal(0, 2, 9, D), whole()
    return not np.allclose(run(params, x[:, ::-1], call)[:, ::-1], run(params, x, call), atol=1e-4)


def whole(at: Any = range(9), valid: Any = None) -> Call:
    """The call of two examples of nine tokens at explicit positions: one shape, so one program per encoding."""
    at = jnp.broadcast_to(jnp.asarray(np.asarray(at), jnp.int32), (2, 9))
    valid = jnp.ones((2, 9), bool) if valid is None else jnp.asarray(valid)
    return Call(at, at, valid, valid)


def idle_rows(spec: str) -> set[int]:
    """The rows of tables without a gradient, where positions 0 to 22 and 47, and in another text 25 to 47, are used."""
    record, run = layer(spec)
    call = positions(np.r_[0:23, L - 1], np.r_[25:L, L - 1])
    gradient = jit(jax.grad(lambda params, x: jnp.sum(inspect.unwrap(run)(params, x, call) ** 2)))
    (rows,) = {
        tuple(np.flatnonzero(np.abs(leaf).max(-1) < 1e-6).tolist())
        for leaf in jax.tree.leaves(gradient(init(record), normal(0, 2, 24, D)))
    }
    return set(rows)


def is_shared(spec: str) -> bool:
    """Whether the parameters are one set for all layers, and none of a layer's own; or the other way round."""
    record = attention.build("encoding", spec)
    assert (record.shared is None) != (record.init is None)
    shared, own = shared_and_own(record)
    assert bool(shared) != bool(own)
    return bool(shared)


def fixed_bias(record: Any, params: Any, call: Call) -> tuple[Any, Any]:
    """The bias of queries and keys that hold nothing, and who is seen (None for everyone)."""
    query, key = (jnp.zeros((2, at.shape[-1], N, H)) for at in (call.q_positions, call.k_positions))
    prepared = ((), (), ()) if record.prepare is None else record.prepare(params, None, query, key, call)
    return record.bias(params, *prepared, call), None if record.where is None else record.where(params, *prepared, call)


def starts(spec: str, **sizes: Any) -> Any:
    """The parameters of a layer, with those that layers share, as they are made for other sizes."""
    record = attention.build("encoding", spec)
    hook = record.shared if record.init is None else record.init
    return hook(jax.random.key(0), DIMS._replace(**sizes))


def past_the_table(spec: str, mask: str, what: str) -> list[bool]:
    """Which of three queries at positions 0, 1 and L get NaN under a trace; elsewhere what is past the table is refused."""
    record, params = built(spec)
    options = {"encoding": record, "params": {"encoding": params}, "mask": mask}
    query, key, value = (normal([7, seed], 1, L + 1, N, H) for seed in range(3))
    with pytest.raises(ValueError, match=rf"has {L} positions, got a sequence of {L + 1}"):
        attention.attend(query, key, value, **options)
    q, k, v = (each[:, :3] for each in (query, key, value))
    at = jnp.array([[0, 1, L]])
    with pytest.raises(ValueError, match=rf"has {L} positions, got {what} {L}"):
        attention.attend(q, k, v, call=Call(at, at), **options)
    run = jit(lambda at: attention.attend(q, k, v, call=Call(at, at), **options))
    assert np.isfinite(run(jnp.array([[0, 1, L - 1]]))).all()
    with pytest.raises(ValueError, match=r"needs Dims\.max_length"):
        starts(spec, max_length=None)
    with jax.debug_nans(False):
        return np.isnan(run(at)).all((0, 2, 3)).tolist()


# Of a code that is one number for all channels: its options, the place of the norm, and whether the model sees it.
SEEN_THROUGH_LAYER_NORM = [("", "pre", False), ("scale=5", "pre", False), ("", "post", True), ("combine=concat", "pre", True)]


def is_seen_through_layer_norm(spec: str, norm: str) -> bool:
    """Layer norm takes away what is the same in every channel: before every layer, it leaves a bag of words."""
    _, params, forward = made(encoder=f"transformer(layers=1, mlp=2, norm={norm})", encoding=spec)
    tokens, valid = batch(lengths=(6, 6))
    difference = np.abs(forward(params, tokens[:, ::-1], valid)[0] - forward(params, tokens, valid)[0]).max()
    assert difference > 5e-4 or difference < 2e-5
    return bool(difference > 5e-4)
