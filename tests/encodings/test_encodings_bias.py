"""Biases that are added to the scores: alibi, kerple, sandwich, fire, dape, table, cpb, tisa, gaussian, and shaw's products."""

import importlib
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import attention
import tests.support.reference_encodings_bias as reference
from attention.encodings import _rows
from attention.records import Call
from tests.support.helpers import DIMS, assert_close, float64, init, inputs, jit, normal, value_and_gradients

N = DIMS.num_heads

# Every form of every bias, and its reference; the numbers in their parameters are of the layer or shared.
FORMS = ("symmetric", "asymmetric", "split_heads", "learned", "learned_lr")
BIASES = {
    **{f"alibi(form={form})": reference.alibi(form) for form in FORMS},
    "kerple": reference.kerple("log"),
    "kerple(form=power)": reference.kerple("power"),
    "sandwich": reference.sandwich(DIMS.head_dim),
    "sandwich(dim=16)": reference.sandwich(16),
    "fire(width=5, threshold=26)": reference.fire(26.0),
    "fire(width=5, directed=True, shared=True)": reference.fire(directed=True),
    "fire(width=5, threshold=9, bidirectional=False)": reference.fire(9.0, bidirectional=False),
    "table(window=12)": reference.table(12),
    "table(window=60, shared=True)": reference.table(60),
    "cpb(hidden=5)": reference.cpb("swin"),
    "cpb(hidden=5, window=9, shared=True)": reference.cpb("swin", 9),
    "cpb(hidden=5, form=nlp)": reference.cpb("nlp"),
    "tisa": reference.tisa,
    "gaussian": reference.gaussian,
}


def _prepared(record, params, call, T, S):
    query, key = jnp.zeros((2, T, N, DIMS.head_dim)), jnp.zeros((2, S, N, DIMS.head_dim))
    return record.prepare(params, None, query, key, call)


def _bias(record, params, call):
    prepared = _prepared(record, params, call, call.q_positions.shape[-1], call.k_positions.shape[-1])
    return record.bias(params, *prepared, call), record.where(params, *prepared, call)


# Against loops.


@pytest.mark.parametrize("spec", BIASES)
def test_bias_of_every_pair(spec):
    """By head and pair, positions per example, in and out of order and far apart; and the same where they are consecutive."""
    record = attention.build("encoding", spec)
    params = init(record)
    q, k = np.array([[0, 5, 47, 3], [2, 2, 30, 9]]), np.array([[3, 46, 0, 5, 12], [0, 2, 33, 9, 1]])
    valid = np.array([[True] * 5, [True, True, False, True, True]])
    call = Call(jnp.asarray(q), jnp.asarray(k), None, jnp.asarray(valid))
    found, seen = jit(lambda params, call: _bias(record, params, call))(params, call)
    own = float64({**params[0], **params[1]})
    seen = np.ones((2, N, 4, 5), bool) if seen is None else np.broadcast_to(seen, (2, N, 4, 5))
    last = [46, 9]
    for b, h, t, s in np.ndindex(2, N, 4, 5):
        wanted = BIASES[spec](own, h, q[b, t], k[b, s], N, last[b])
        if "split_heads" in spec:
            assert seen[b, h, t, s] == (k[b, s] <= q[b, t] if h < N // 2 else k[b, s] >= q[b, t])
        else:
            assert seen[b, h, t, s] == (not math.isnan(wanted))
        if not math.isnan(wanted):
            np.testing.assert_allclose(np.broadcast_to(found, seen.shape)[b, h, t, s], wanted, rtol=2e-5, atol=2e-5)
    plain, plain_seen = _bias(record, params, Call(jnp.arange(9), jnp.arange(9)))
    per_distance = _bias(record, params, Call(jnp.arange(9), jnp.arange(9), consecutive=True))
    np.testing.assert_allclose(per_distance[0], plain, atol=1e-5)
    assert (plain_seen is None) == (per_distance[1] is None)
    assert plain_seen is None or np.array_equal(plain_seen, per_distance[1])


def test_dape_by_loops():
    """``s + B + MLP([s; B])`` of every pair, over the heads."""
    record = attention.build("encoding", "dape(inner=alibi, width=5)")
    params, scores = init(record), normal(3, 2, N, 4, 6)
    call = Call(jnp.arange(4) + 7, jnp.arange(6))
    found = record.modify(params, scores, *_prepared(record, params, call, 4, 6), call)
    own, s = float64(params[1]), np.asarray(scores, np.float64)
    leaky = lambda x: x if x > 0 else 0.01 * x
    for b, i, j in np.ndindex(2, 4, 6):
        bias = [reference.alibi("symmetric")({}, h, i + 7, j, N, None) for h in range(N)]
        for h in range(N):
            wanted = s[b, h, i, j] + bias[h] + reference.mlp(own, [*s[b, :, i, j], *bias], h, leaky)
            np.testing.assert_allclose(found[b, h, i, j], wanted, atol=2e-5)


# Published and limiting values.


def test_sandwich_golden():
    found = attention.sandwich_bias(-jnp.arange(5), 4, dim=16)[:, 0]
    np.testing.assert_allclose(found, [0, -0.027568, -0.107788, -0.233453, -0.393340], atol=1e-6)


def test_kerple_power_of_one_is_alibi():
    slopes = jnp.asarray(attention.alibi_slopes(3))
    distance = jnp.array([-1_000_000, -3, 0, 1, 7])
    wanted = attention.alibi_bias(distance, jnp.array([0]), slopes)[..., 0].T
    np.testing.assert_allclose(attention.kerple_bias(distance, slopes, jnp.ones(3), form="power"), wanted, rtol=2e-5)


@pytest.mark.parametrize("form", ["learned", "learned_lr"])
def test_learned_slopes_start_at_the_papers(form):
    call = Call(jnp.arange(9), jnp.arange(9))
    fixed = attention.build("encoding", "alibi")
    record = attention.build("encoding", f"alibi(form={form})")
    np.testing.assert_allclose(
        _bias(record, init(record, spread=0.0), call)[0], _bias(fixed, ({}, {}), call)[0], rtol=1e-5, atol=1e-6
    )


def test_starts():
    """The distributions of the papers; what they cut off at the low end is cut off."""
    dims = DIMS._replace(num_heads=4000, layer=0)
    make = lambda spec: attention.build("encoding", spec).init(jax.random.key(0), dims)
    sigmoid = lambda x: 1 / (1 + np.exp(-x))
    for form, upper in (("log", (2.0, 1.0)), ("power", (1.0, 2.0))):
        found = float64(make(f"kerple(form={form})"))
        r1, r2 = np.logaddexp(0, found["r1"]), np.logaddexp(0, found["r2"]) if form == "log" else 2 * sigmoid(found["r2"])
        for r, high in ((r1, upper[0]), (r2, upper[1])):
            assert 0.0099 < r.min() < 0.02
            assert 0.98 * high < r.max() < 1.0001 * high
            np.testing.assert_allclose(r.mean(), high / 2, rtol=0.05)
    found = make("tisa")
    for name, mean, deviation in (("amplitude", 0.1, 0.01), ("sharpness", 0.1, 0.01), ("offset", 0.0, 5.0)):
        np.testing.assert_allclose((found[name].mean(), found[name].std()), (mean, deviation), rtol=0.05, atol=0.1 * deviation)
    found = make("table")
    np.testing.assert_allclose((found["table"].mean(), found["table"].std()), (0.0, 0.02), rtol=0.02, atol=1e-3)
    found = make("fire")
    assert (found["c"], found["factor"]) == (np.float32(0.1), 1.0)
    for layer, bound in ((found["mlp"]["in"], 1.0), (found["mlp"]["out"], 32**-0.5)):
        for leaf in layer.values():
            assert np.abs(leaf).max() <= bound
            np.testing.assert_allclose(leaf.std(), bound / 3**0.5, rtol=0.3)
    found = make("cpb")
    assert not found["in"]["bias"].any()
    np.testing.assert_allclose((found["in"]["kernel"].std(), found["out"]["kernel"].std()), 0.02, rtol=0.1)
    found = make("gaussian")
    np.testing.assert_allclose(np.logaddexp(0, float64(found["w"])), attention.alibi_slopes(4000) ** 2, rtol=1e-4)


def test_dape_without_its_network_is_the_inner_bias():
    record, inner = attention.build("encoding", "dape"), attention.build("encoding", "kerple")
    params = init(record)
    own = {**params[1], "out": jax.tree.map(jnp.zeros_like, params[1]["out"])}
    query, key, value = inputs(T=9, S=9)
    run = lambda encoding, own: attention.attend(query, key, value, encoding=encoding, params={"encoding": ({}, own)})
    np.testing.assert_allclose(run(record, own), run(inner, own["inner"]), atol=1e-5)


def test_tisa_is_not_off_by_one():
    """A sharp bump at o = 3 is the bias at Δ = 3."""
    one = lambda x: jnp.full((1, 1), x)
    found = attention.tisa_bias(jnp.arange(-5, 6), one(2.0), one(50.0), one(3.0))[:, 0]
    np.testing.assert_allclose(found, np.where(np.arange(-5, 6) == 3, 2.0, 0.0), atol=1e-6)


# Who may attend to whom.


def _weights(encoding, mask="full", params=({}, {}), **options):
    query, key, value = inputs(T=9, S=9)
    return attention.attend(
        query, key, value, encoding=encoding, mask=mask, params={"encoding": params}, return_weights=True, **options
    )[1]


@pytest.mark.parametrize("normalizer", ["softmax", "sparsemax", "sigmoid"])
def test_heads_split_by_side(normalizer):
    """The first half of the heads is causal attention, the other the same backwards; with a mask no row is left empty."""
    options = {"normalizer": normalizer}
    found = _weights("alibi(form=split_heads)", **options)
    slopes = jnp.tile(jnp.asarray(attention.alibi_slopes(N // 2)), 2)
    bias = attention.alibi_bias(jnp.arange(9), jnp.arange(9), slopes)[None]
    early = np.tri(9, dtype=bool)
    for half, where in ((slice(0, 2), early), (slice(2, 4), early.T)):
        wanted = _weights("none", bias=bias, where=jnp.asarray(where)[None, None], **options)
        np.testing.assert_allclose(found[:, half], wanted[:, half], atol=1e-6)
        assert not found[:, half][..., ~where].any()
    if normalizer == "softmax":
        under_mask = _weights("alibi(form=split_heads)", "causal")
        np.testing.assert_allclose(under_mask[:, 2:], np.broadcast_to(np.eye(9), (2, 2, 9, 9)), atol=1e-6)


def test_tables_window_is_a_mask():
    record = attention.build("encoding", "table(window=3)")
    params = init(record)
    found = _weights(record, params=params)
    rows = params[1]["table"]
    bias = np.zeros((1, N, 9, 9), np.float32)
    for i, j in np.ndindex(9, 9):
        bias[0, :, i, j] = rows[i - j + 2] if abs(i - j) < 3 else 0.0
    np.testing.assert_allclose(found, _weights("none", "local(window=4)", bias=jnp.asarray(bias)), atol=1e-6)
    assert np.isnan(attention.table_bias(jnp.array([3, -3]), rows)).all()
    both = _weights("table(window=3) + alibi(form=split_heads)", params=({}, {"0": params[1]}))
    assert np.array_equal(both[0, 0] > 0, np.tri(9) * (np.abs(np.subtract.outer(range(9), range(9))) < 3))
    adapted = attention.build("encoding", "dape(inner=table(window=3))")
    found = _weights(adapted, params=init(adapted))
    assert np.array_equal(found > 0, np.broadcast_to(bias[0, :1] != 0, found.shape))


# Padding and lengths.


def test_fire_knows_the_length_of_each_example():
    """The last valid key decides, whatever stands in the padding or where; the causal form asks for no length."""
    record = attention.build("encoding", "fire(threshold=2)")
    params = init(record)
    valid = jnp.arange(9) < jnp.array([[9], [5]])
    call = Call(jnp.arange(9), jnp.arange(9), None, valid)
    found = _bias(record, params, call)[0]
    alone = _bias(record, params, Call(jnp.arange(5), jnp.arange(5)))[0]
    np.testing.assert_allclose(found[1, :, :5, :5], alone, atol=1e-6)
    assert not np.allclose(found[0, :, :5, :5], alone, atol=1e-3)
    moved = jnp.where(valid, jnp.arange(9), 700)
    elsewhere = _bias(record, params, Call(moved, moved, None, valid))[0]
    np.testing.assert_allclose(elsewhere[1, :, :5, :5], alone, atol=1e-6)
    share = lambda **k: attention.fire_share(jnp.arange(600), jnp.array([599]), jnp.array(0.1), jnp.array(512.0))
    assert float(share().max()) <= 1.0
    causal = attention.build("encoding", "fire(bidirectional=False)")
    assert causal.needs_causal
    with pytest.raises(ValueError, match="use mask=causal"):
        attention.attend(*inputs(T=3, S=3), encoding=causal)


# Far from the origin.

FAR = 1_000_000


@pytest.mark.parametrize("spec", [spec for spec in BIASES if "fire" not in spec and "table(window=12" not in spec])
def test_far_away(spec):
    """Distances of positions near a million are exact; and distances of a million finite, and right."""
    record = attention.build("encoding", spec)
    params = init(record)
    near = Call(jnp.arange(9), jnp.arange(9))
    far = Call(jnp.arange(9) + FAR, jnp.arange(9) + FAR)
    np.testing.assert_array_equal(_bias(record, params, far)[0], _bias(record, params, near)[0])
    ends = Call(jnp.array([FAR, 0]), jnp.array([0, FAR]))
    found, seen = _bias(record, params, ends)
    own = float64({**params[0], **params[1]})
    for h, i, j in np.ndindex(N, 2, 2):
        if seen is None or np.broadcast_to(seen, found.shape)[h, i, j]:
            wanted = BIASES[spec](own, h, (FAR, 0)[i], (0, FAR)[j], N, None)
            np.testing.assert_allclose(found[h, i, j], wanted, rtol=2e-5, atol=2e-5)


def test_distance_zero_has_gradients():
    for form in ("log", "power"):
        loss = lambda r1, r2, form=form: jnp.sum(attention.kerple_bias(jnp.zeros(3, jnp.int32), r1, r2, form=form))
        for r2 in (0.01, 1.0, 2.0):
            value, gradient = jax.value_and_grad(loss, argnums=(0, 1))(jnp.ones(2), jnp.full(2, r2))
            assert value == 0.0
            np.testing.assert_array_equal(gradient, np.zeros((2, 2)))


# Kernels, and rows at a time.

CHUNKED = [
    *(spec for spec in BIASES if spec not in ("alibi(form=symmetric)", "sandwich(dim=16)", "cpb(hidden=5)")),
    *("dape(width=5)", "dape(inner=fire(width=5), width=5)", "dape(inner=table(window=9), width=5)"),
    *("rope + dape(inner=alibi(form=learned), width=5)", "shaw(max_distance=3)", "shaw(max_distance=3, values=False)"),
]
STREAMED = ["alibi(form=split_heads)", "fire(width=5, threshold=26)", "dape(inner=table(window=9), width=5)"]


@pytest.mark.parametrize(
    ("spec", "streamed"), [(spec, False) for spec in CHUNKED] + [(spec, True) for spec in STREAMED], ids=str
)
def test_chunked_is_dense(spec, streamed, small_blocks, monkeypatch):
    """Value and every gradient, with padding, ragged blocks, a batch of 2, and in each block few rows at a time."""
    record, mask = attention.build("encoding", spec), "causal" if "bidirectional=False" in spec else "full"
    if streamed:
        monkeypatch.setattr(importlib.import_module("attention.kernels.chunked"), "STREAM_ELEMENTS", 0)
    call = Call(k_valid=jnp.arange(21) < jnp.array([[21], [13]]))
    arrays, upstream = (*inputs(T=21, S=21), {"encoding": init(record)}), normal(6, 2, 21, N, DIMS.head_dim)
    options = {"encoding": record, "mask": mask, "call": call}
    run = lambda kernel: jit(lambda *a: value_and_gradients(*a, kernel=kernel, **options))(arrays, upstream)
    dense = run("dense")
    monkeypatch.setattr(_rows, "ELEMENTS", 600)
    assert_close(run("chunked"), dense)


@pytest.mark.parametrize(
    "spec", ["sandwich", "fire(width=5)", "cpb(hidden=5)", "tisa", "dape(width=5)", "shaw(max_distance=3)"]
)
def test_rows_at_a_time(spec, monkeypatch):
    """What is too large to be held at once is computed in blocks of rows, to the same value and gradients."""
    record, seen = attention.build("encoding", spec), []
    positions = jnp.asarray(np.stack([np.arange(11), np.arange(11)[::-1] * 2]))
    arrays, upstream = (*inputs(T=11, S=11), {"encoding": init(record)}), normal(6, 2, 11, N, DIMS.head_dim)
    options = {"encoding": record, "kernel": "dense", "call": Call(positions, positions)}
    run = lambda: jit(lambda *a: value_and_gradients(*a, **options))(arrays, upstream)
    whole = run()
    monkeypatch.setattr(
        jax.lax, "map", lambda f, xs, map=jax.lax.map: (seen.append(len(jax.tree.leaves(xs)[0])), map(f, xs))[1]
    )
    monkeypatch.setattr(_rows, "ELEMENTS", 200)
    assert_close(run(), whole)
    assert seen, "no blocks"
    assert min(seen) > 1


def _largest(jaxpr):
    """The size of the largest array that a program names, in its parts too."""
    inner = lambda x: [x.jaxpr] if hasattr(x, "jaxpr") else [x] if hasattr(x, "eqns") else []
    sizes = [math.prod(v.aval.shape) for eqn in jaxpr.eqns for v in eqn.outvars]
    for eqn in jaxpr.eqns:
        for param in jax.tree.leaves(tuple(eqn.params.values()), is_leaf=lambda x: bool(inner(x))):
            sizes += [_largest(part) for part in inner(param)]
    return max(sizes, default=0)


@pytest.mark.parametrize("given", [False, True], ids=["counted", "given"])
@pytest.mark.parametrize("spec", ["kerple", "sandwich", "fire", "dape", "table", "cpb(hidden=64)", "tisa", "gaussian", "shaw"])
def test_nothing_is_as_large_as_vectors_of_pairs(spec, given, monkeypatch):
    """Neither the value nor the gradient holds T x S x H numbers, nor T x S for every hidden unit, bump or row."""
    T, heads, width = 64, 2, 24
    monkeypatch.setattr(_rows, "ELEMENTS", 2**13)
    record = attention.build("encoding", spec)
    dims = DIMS._replace(num_heads=heads, kv_heads=heads, head_dim=width, model_dim=48)
    x = jnp.zeros((1, T, heads, width))
    positions = jnp.arange(T)[None] if given else None
    options = {"encoding": record, "kernel": "dense", "call": Call(positions, positions)}
    loss = lambda arrays: value_and_gradients(arrays, x, **options)
    largest = _largest(jax.make_jaxpr(loss)((x, x, x, {"encoding": init(record, dims)})).jaxpr)
    assert heads * T * T <= largest <= 5 * T * T


# Layers, and what is refused.


@pytest.mark.parametrize("spec", ["fire", "table", "cpb"])
def test_shared_by_the_layers(spec):
    for shared in (False, True):
        record = attention.build("encoding", f"{spec}(shared={shared})")
        made = [bool(record.init(jax.random.key(0), DIMS._replace(layer=layer))) for layer in (None, 0, 1)]
        assert made == [shared, not shared, not shared]


def test_dape_nests():
    """The inner parameters, shared and own, lie under "inner"; what the inner one is and does stays."""
    record = attention.build("encoding", "dape(inner=fire(shared=True), width=5)")
    shared, own = init(record)
    assert set(shared) == {"inner"}
    assert set(own) == {"in", "out"}
    assert set(init(attention.build("encoding", "dape"))[1]["inner"]) == {"r1", "r2"}
    assert (record.reads, record.extrapolates, record.needs_causal) == ("block", True, False)
    assert attention.build("encoding", "dape(inner=fire(bidirectional=False))").needs_causal


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("alibi(form=split)", r"'split_heads'.*got 'split'|wants one of"),
        ("kerple(form=exp)", "wants one of 'log', 'power'"),
        ("sandwich(dim=0)", "dim must be an even number >= 2, got 0"),
        ("sandwich(dim=5)", "dim must be an even number >= 2, got 5"),
        ("fire(width=0)", "width must be >= 1, got 0"),
        ("fire(threshold=0)", "threshold must be > 0, got 0.0"),
        ("dape(width=0)", "width must be >= 1, got 0"),
        ("dape(inner=rope)", "inner must be an encoding that adds a bias to the scores, and that alone"),
        ("dape(inner=dape())", "inner must be an encoding that adds a bias to the scores, and that alone"),
        ("dape(inner=alibi + rope)", "inner must be an encoding that adds a bias to the scores, and that alone"),
        ("table(window=0)", "window must be >= 1, got 0"),
        ("cpb(hidden=0)", "hidden must be >= 1, got 0"),
        ("cpb(window=1)", "window must be >= 2, got 1"),
        ("cpb(form=nlp, window=8)", "window is for form='swin', got form='nlp'"),
        ("tisa(kernels=0)", "kernels must be >= 1, got 0"),
        ("gaussian(width=3)", "unknown option 'width'"),
    ],
)
def test_bad_options(spec, message):
    with pytest.raises(ValueError, match=message):
        attention.build("encoding", spec)


def test_bad_sizes():
    x = jnp.zeros((4, 3, 5))
    with pytest.raises(ValueError, match="heads split by side want an even number >= 2, got 3"):
        attention.attend(x, x, x, encoding="alibi(form=split_heads)")
    with pytest.raises(ValueError, match="sandwich wants an even head dim, or its own dim, got 5"):
        attention.attend(x, x, x, encoding="sandwich")
    assert attention.attend(x, x, x, encoding="sandwich(dim=6)").shape == x.shape
    with pytest.raises(ValueError, match="dim must be an even number >= 2, got 3"):
        attention.sandwich_bias(jnp.arange(3), 2, dim=3)
