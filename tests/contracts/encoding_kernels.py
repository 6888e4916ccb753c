"""What every encoding promises of kernels: blocks and rows of scores give what all at once give, and nothing larger is made."""

import importlib
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import attention
from attention.encodings import _rows
from attention.records import Call, Dims
from tests.support.encodings import L, built, qkx
from tests.support.helpers import assert_close, init, jit, normal, value_and_gradients
from tests.support.rows import cases, over_rows

every = over_rows("encoding")
SCORED = {spec: case for spec, (_, case) in cases("encoding").items() if case.scores is not None}
scored = pytest.mark.parametrize("case", [pytest.param(case, id=spec) for spec, case in SCORED.items()], scope="module")


def _gradients(record, case, call, kernel, arrays):
    query, key, x, params = arrays

    def loss(query, key, x, params):
        options = {"encoding": record, "params": {"encoding": params}, "mask": _mask(case), "kernel": kernel}
        output = attention.attend(query, key, key, x=x, call=call, **options)
        kept = jnp.where(call.q_valid[..., None, None], output, 0.0)
        return jnp.sum(kept * normal([8, 0], *output.shape)), kept

    return jit(jax.value_and_grad(loss, (0, 1, 2, 3), has_aux=True))(query, key, x, params)


def _mask(case):
    return "causal & local(window=6)" if case.mask == "causal" else "full"


@scored
def test_chunked_is_dense(case, small_blocks, monkeypatch):
    """Value and every gradient, with padding, ragged blocks and in each few rows at a time; streamed where that can be."""
    record, params = built(case.spec)
    T = 21
    text = jnp.arange(T) < jnp.array([[T], [13]])
    arrays = (*qkx(T, T), params)
    call = Call(q_valid=text, k_valid=text, max_length=L)
    dense = _gradients(record, case, call, "dense", arrays)
    monkeypatch.setattr(_rows, "ELEMENTS", 600)
    assert_close(_gradients(record, case, call, "chunked", arrays), dense)
    assert {queries for queries, _ in small_blocks} == {16}


@every
def test_kernels_with_positions_given(name, row, small_blocks, monkeypatch):
    """The same with explicit positions, in no order; and streamed with those of the array, where blocks are enough."""
    case = next(iter(row.evidence.cases), None)
    if case is None or case.scores is None:
        return
    record, params = built(case.spec)
    T = 21
    text = jnp.arange(T) < jnp.array([[T], [13]])
    arrays = (*qkx(T, T), params)
    at = np.stack([np.random.default_rng(0).permutation(40)[:T], np.r_[0 : T - 1, L - 1]])
    at = jnp.asarray(np.sort(at) if case.mask == "causal" else at, jnp.int32)
    given = Call(at, at, text, text, max_length=L)
    assert_close(_gradients(record, case, given, "chunked", arrays), _gradients(record, case, given, "dense", arrays))
    if record.reads == "block" and case.mask == "full":
        counted = Call(q_valid=text, k_valid=text, max_length=L)
        dense = _gradients(record, case, counted, "dense", arrays)
        monkeypatch.setattr(importlib.import_module("attention.kernels.chunked"), "STREAM_ELEMENTS", 0)
        small_blocks.clear()
        assert_close(_gradients(record, case, counted, "chunked", arrays), dense)
        assert small_blocks == []


@every
@pytest.mark.parametrize("given", [False, True], ids=["counted", "given"])
def test_no_vector_for_every_pair(name, row, given, monkeypatch):
    """Neither the value nor the gradient holds T·S·H numbers, nor T·S for every hidden unit, bump or row of a table."""
    T, heads, width = 256, 2, 24
    record = attention.build("encoding", name)
    if not record.on_scores:
        return
    monkeypatch.setattr(_rows, "ELEMENTS", 2**13)
    params = init(record, Dims(heads, heads, width, heads * width, num_layers=2, max_length=T))
    query, x = jnp.zeros((1, T, heads, width)), jnp.zeros((1, T, heads * width))
    at = jnp.arange(T)[None] if given else None
    options = {"encoding": record, "kernel": "dense", "call": Call(at, at, max_length=T), "x": x, "mask": row.evidence.mask}
    loss = lambda *arrays: value_and_gradients(arrays, query, **options)
    largest = _largest(jax.make_jaxpr(loss)(query, query, query, {"encoding": params}).jaxpr)
    assert heads * T * T <= largest <= 5 * T * T


def _largest(jaxpr):
    """The size of the largest array of floats that a program names, in its parts too."""
    inner = lambda x: [x.jaxpr] if hasattr(x, "jaxpr") else [x] if hasattr(x, "eqns") else []
    floats = lambda variable: jnp.issubdtype(getattr(variable.aval, "dtype", bool), jnp.floating)
    sizes = [math.prod(v.aval.shape) for eqn in jaxpr.eqns for v in eqn.outvars if floats(v)]
    for eqn in jaxpr.eqns:
        for param in jax.tree.leaves(tuple(eqn.params.values()), is_leaf=lambda x: bool(inner(x))):
            sizes += [_largest(part) for part in inner(param)]
    return max(sizes, default=0)
