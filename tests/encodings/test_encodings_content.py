import functools
import importlib
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import attention
import tests.support.reference_encodings_content as plain
from attention.records import Call, Dims
from tests.support.encoding_rows import positions
from tests.support.helpers import DIMS, assert_close, float64, init, jit, normal

N, H, D, L = DIMS.num_heads, DIMS.head_dim, DIMS.model_dim, DIMS.max_length

# Every spec that takes a path of its own, with its mask.
SPECS = {
    "transformer_xl": "full",
    "tener": "full",
    "music": "causal",
    "music(per_head=False)": "causal",
    "deberta(max_distance=16)": "full",
    "deberta(max_distance=16, p2c=paper)": "full",
    "deberta(max_distance=5, buckets=none)": "full",
    "deberta(max_distance=5, buckets=none, p2c=paper)": "full",
    "tupe": "full",
    "tupe(relative=t5)": "full",
    "tupe(untie_cls=True)": "full",
    "tupe(relative=t5, untie_cls=True)": "full",
    "cope(max_position=4)": "causal",
    "cope(max_position=4, scaling=official)": "causal",
    "cope(max_position=4, direction=both)": "full",
    "fox": "causal",
    "fox(direction=both)": "full",
}
# Those of them, and the ways positions come, that differ in what a kernel has to cut.
PATHS = [
    ("transformer_xl", "counted"),
    ("transformer_xl", "given"),
    ("tener", "counted"),
    ("music", "counted"),
    ("music", "given"),
    ("deberta(max_distance=16)", "counted"),
    ("deberta(max_distance=5, buckets=none, p2c=paper)", "given"),
    ("tupe(relative=t5, untie_cls=True)", "counted"),
    ("tupe", "given"),
    ("cope(max_position=4)", "counted"),
    ("cope(max_position=4, direction=both)", "counted"),
    ("fox", "counted"),
    ("fox(direction=both)", "counted"),
]
GIVEN = {
    "counted": Call(),
    "given": positions([0, 1, 3, 4, 9, 17, 18, 30, 45], [0, 2, 3, 20, 21, 22, 40, 7, 0]),
}


def _inputs(T, B=2):
    return [normal([7, seed], B, T, N, H) for seed in range(3)], normal([7, 3], B, T, D)


@functools.cache
def _built(spec):
    record = attention.build("encoding", spec)
    return record, init(record)


def _options(spec):
    parsed = attention.specs.parse(spec)
    return getattr(plain, parsed.name), {k: v.name if hasattr(v, "name") else v for k, v in parsed.options}


@pytest.mark.parametrize("given", GIVEN)
@pytest.mark.parametrize("spec", SPECS)
def test_by_loops(spec, given):
    """The weights of attention are those of the formula, for both ways positions come, and whatever padding holds."""
    record, params = _built(spec)
    (query, key, value), x = _inputs(9)
    text = np.arange(9) < np.array([[9], [7]])
    call = Call(GIVEN[given].q_positions, GIVEN[given].k_positions, jnp.asarray(text), jnp.asarray(text))
    options = {"encoding": record, "params": {"encoding": params}, "mask": SPECS[spec]}
    run = jit(lambda q, k, v, x: attention.attend(q, k, v, x=x, call=call, return_weights=True, **options)[1])
    weights = run(query, key, value, x)
    reference, chosen = _options(spec)
    if reference in (plain.music, plain.cope):
        chosen = {name: option for name, option in chosen.items() if name in ("scaling", "direction")}
    scale = 1 / math.sqrt(record.terms * H)
    q, k, x, pair = float64((query, key, x, params))
    at = np.arange(9) if given == "counted" else np.asarray(call.q_positions)
    for b in range(2):
        i = at if at.ndim == 1 else at[b]
        terms = reference(q[b], k[b], pair, i, i, scale, x[b], text[b], **chosen)
        scores = np.einsum("tnh,snh->nts", q[b], k[b]) * scale + terms
        allowed = (i[:, None] >= i) | (SPECS[spec] == "full")
        scores = np.where(allowed & text[b], scores, -np.inf)
        wanted = np.exp(scores - scores.max(-1, keepdims=True))
        wanted /= wanted.sum(-1, keepdims=True)
        np.testing.assert_allclose(weights[b][:, text[b]], wanted[:, text[b]], atol=1e-5)


def _loss(record, mask, call, kernel):
    def loss(params, arrays):
        query, key, value, x = arrays
        options = {"encoding": record, "params": {"encoding": params}, "mask": mask, "kernel": kernel}
        output = attention.attend(query, key, value, x=x, call=call, **options)
        kept = jnp.where(call.q_valid[..., None, None], output, 0.0)
        return jnp.sum(kept * normal([8, 0], *output.shape)), kept

    return jax.value_and_grad(loss, argnums=(0, 1), has_aux=True)


@pytest.mark.parametrize(("spec", "given"), PATHS)
def test_chunked(spec, given, small_blocks, monkeypatch):
    """Blocks of queries, the last one filled up, and of keys, give the value and every gradient of dense."""
    record, params = _built(spec)
    T = 37
    arrays, x = _inputs(T)
    text = jnp.arange(T) < jnp.array([[T], [29]])
    call = positions(np.arange(T) + 3, np.r_[0 : T - 1, L - 1]) if given == "given" else Call()
    call = Call(call.q_positions, call.k_positions, text, text)
    mask = "causal & local(window=6)" if SPECS[spec] == "causal" else "full"
    run = lambda kernel: jit(_loss(record, mask, call, kernel))(params, (*arrays, x))
    dense = run("dense")
    assert_close(run("chunked"), dense)
    assert {queries for queries, _ in small_blocks} == {16}
    if record.reads == "block" and given == "counted" and mask == "full":
        monkeypatch.setattr(importlib.import_module("attention.kernels.chunked"), "STREAM_ELEMENTS", 0)
        small_blocks.clear()
        assert_close(run("chunked"), dense)
        assert small_blocks == []


@pytest.mark.parametrize("spec", SPECS)
def test_padding_does_not_matter(spec):
    """Neither what padding holds, nor its position, nor on which side it stands."""
    record, params = _built(spec)
    (query, key, value), x = _inputs(9)
    text = jnp.asarray([[True] * 9, [True] * 3 + [False] * 2 + [True] * 4])
    at = np.array([np.arange(9), [0, 1, 2, 0, 0, 3, 4, 5, 6]])
    options = {"encoding": record, "params": {"encoding": params}, "mask": SPECS[spec]}
    run = jit(lambda q, k, v, x, at: attention.attend(q, k, v, x=x, call=Call(at, at, text, text), **options))
    wanted = run(query, key, value, x, jnp.asarray(at))
    elsewhere = np.where(text, at, 2_000_000)
    spoil = lambda a: jnp.where(text.reshape(text.shape + (1,) * (a.ndim - 2)), a, 77.0)
    found = run(*map(spoil, (query, key, value, x)), jnp.asarray(elsewhere))
    np.testing.assert_allclose(found[text], wanted[text], atol=1e-5)
    short = [each[1:, np.array(text[1])] for each in (query, key, value, x)]
    alone = attention.attend(*short[:3], x=short[3], **options)
    np.testing.assert_allclose(found[1][text[1]], alone[0], atol=1e-5)


@pytest.mark.parametrize("spec", ["transformer_xl", "tener", "deberta(max_distance=16)", "music"])
def test_far_from_the_origin(spec):
    """Distances are exact at position 1,000,000, and shifted products are those of explicit positions, with their gradients."""
    record, params = _built(spec)
    arrays, x = _inputs(9)
    text = jnp.ones((2, 9), bool)
    run = lambda at: jit(_loss(record, SPECS[spec], Call(at, at, text, text), "dense"))(params, (*arrays, x))
    assert_close(run(jnp.arange(9) + 1_000_000), run(None))


def _largest(jaxpr):
    """The most elements of an array anywhere in a program."""
    sizes = [math.prod(var.aval.shape) for eqn in jaxpr.eqns for var in eqn.outvars]
    for eqn in jaxpr.eqns:
        for inner in jax.tree.leaves(list(eqn.params.values()), is_leaf=lambda p: hasattr(p, "eqns") or hasattr(p, "jaxpr")):
            inner = getattr(inner, "jaxpr", inner)
            if hasattr(inner, "eqns"):
                sizes.append(_largest(inner))
    return max(sizes, default=0)


@pytest.mark.parametrize(("spec", "given"), PATHS)
def test_no_vector_for_every_pair(spec, given):
    """Neither the value nor the gradient makes T·S·H numbers."""
    T, heads, size = 64, 2, 32
    record = attention.build("encoding", spec)
    params = init(record, Dims(heads, heads, size, heads * size, max_length=T))
    x, text = jnp.ones((1, T, heads * size)), jnp.ones((1, T), bool)
    q = x.reshape(1, T, heads, size)
    at = jnp.arange(T)[None] if given == "given" else None
    loss = _loss(record, SPECS[spec], Call(at, at, text, text), "dense")
    assert _largest(jax.make_jaxpr(loss)(params, (q, q, q, x)).jaxpr) < T * T * size


# DeBERTa's buckets.


def test_deberta_buckets_golden():
    """transformers, modeling_deberta_v2.py: make_log_bucket_position with bucket_size 256 and max_position 512."""
    distance = [-600, -511, -200, -129, -128, -1, 0, 5, 128, 129, 130, 131, 200, 256, 400, 510, 511]
    wanted = [-256, -255, -169, -129, -128, -1, 0, 5, 128, 129, 130, 131, 169, 192, 233, 255, 255]
    np.testing.assert_array_equal(attention.deberta_buckets(jnp.array(distance)), wanted)


@pytest.mark.parametrize(("buckets", "max_distance"), [(256, 512), (64, 128), (16, 100), (4, 8), (6, 9), (32, 64)])
def test_deberta_buckets(buckets, max_distance):
    distance = np.array([*range(-600, 601), -(2**31) + 1, 2**31 - 1])
    found = jit(lambda d: attention.deberta_buckets(d, buckets=buckets, max_distance=max_distance))(distance)
    wanted = [plain.deberta_bucket(int(r), buckets, max_distance) for r in distance]
    np.testing.assert_array_equal(found, wanted)
    assert np.asarray(found).max() == buckets


def test_deberta_forms():
    """v1 and the log form agree while distances are exact; the paper's and the code's term differ in direction alone."""
    query = normal(1, 1, 5, N, H)
    run = lambda spec, params: attention.attend(query, query, query, encoding=spec, params={"encoding": params})
    params = init(attention.build("encoding", "deberta(max_distance=24, buckets=log)"))
    wide = ({"table": jnp.pad(params[0]["table"], ((12, 12), (0, 0)))}, params[1])
    np.testing.assert_allclose(
        run("deberta(max_distance=24)", params), run("deberta(max_distance=24, buckets=none)", wide), atol=1e-5
    )
    mirrored = ({"table": params[0]["table"].at[1:].set((params[0]["table"][1:] + params[0]["table"][:0:-1]) / 2)}, params[1])
    code, paper = (run(f"deberta(max_distance=24, p2c={p2c})", mirrored) for p2c in ("code", "paper"))
    np.testing.assert_allclose(code, paper, atol=1e-5)


# Limits.


def test_open_gates_count_keys():
    """CoPE with open gates is a table of clipped distances, i - j + 1."""
    record = attention.build("encoding", "cope(max_position=4, direction=both)")
    params = init(record)
    query = jnp.ones((1, 6, N, H)) * 100
    call = Call(scale=1.0)
    bias = record.bias(params, *record.prepare(params, None, query, query, call), call)
    z = {name: params[1][name].sum(-1) * 100 for name in ("earlier", "later")}
    for i in range(6):
        wanted = [z["earlier" if j <= i else "later"][min(abs(i - j) + 1, 3)] for j in range(6)]
        np.testing.assert_allclose(bias[0, 0, i], wanted, rtol=1e-5)


def test_constant_gates_are_alibi():
    """Forgetting the same everywhere is a slope; forgetting nothing is no bias at all."""
    slopes = attention.alibi_slopes(N)
    log_gates = jnp.broadcast_to(-slopes, (7, N))
    wanted = attention.alibi_bias(jnp.arange(7), jnp.arange(7), jnp.asarray(slopes))
    np.testing.assert_allclose(attention.forgetting_bias(log_gates, log_gates), wanted, atol=1e-5)
    np.testing.assert_allclose(attention.forgetting_bias(log_gates), np.tril(wanted), atol=1e-5)
    np.testing.assert_array_equal(attention.forgetting_bias(jnp.zeros((7, N))), 0.0)


def test_start():
    """The values that the papers start from."""
    start = lambda spec: attention.build("encoding", spec).init(jax.random.key(0), DIMS._replace(layer=0))
    np.testing.assert_array_equal(start("cope")["earlier"], np.zeros((64, H)))
    gates = start("fox(direction=both, bias=3)")
    np.testing.assert_array_equal([gates["earlier"]["bias"], gates["later"]["bias"]], np.full((2, N), 3.0))
    assert not np.allclose(gates["earlier"]["kernel"], gates["later"]["kernel"])
    np.testing.assert_array_equal(start("fox")["earlier"]["bias"], np.full(N, 5.0))
    shared = attention.build("encoding", "tupe").init(jax.random.key(0), DIMS)
    np.testing.assert_allclose(shared["table"].std(), 0.02, rtol=0.1)


def test_public_terms():
    """The functions by themselves are what the records add, before scaling."""
    (query, key, _), _ = _inputs(9)
    call = Call(jnp.arange(9), jnp.arange(9), consecutive=True)
    for name, terms in (("transformer_xl", attention.transformer_xl_terms), ("tener", attention.tener_terms)):
        record, params = _built(name)
        bias = record.bias(params, *record.prepare(params, None, query, key, call), call)
        np.testing.assert_allclose(terms(query, key, jnp.arange(9), jnp.arange(9), **params[1]), bias, atol=1e-5)
    record, params = _built("music")
    bias = record.bias(params, *record.prepare(params, None, query, key, call), call)
    found = attention.music_terms(query, jnp.arange(9), jnp.arange(9), params[1]["table"])
    np.testing.assert_allclose(found, bias, atol=1e-5)
