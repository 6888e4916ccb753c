"""What single normalizers promise beside the common contract: limits, known rows, long rows, noise, options, bad input."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
from hypothesis import given
from hypothesis import strategies as st

import attention
import tests.support.reference_normalizers as r
from attention.normalizers.differential import initial_mix
from attention.records import Call
from tests.support.helpers import DIMS, init, inputs, jit, normal
from tests.support.normalizer_rows import Z

SCORES = normal(0, 6, 9, scale=2.0)
MASK = jnp.asarray(np.random.default_rng(0).random((6, 9)) > 0.3)


def close(a, b, tolerance=1e-6):
    np.testing.assert_allclose(a, b, atol=tolerance)


# Limits: where one method becomes another.


def test_limits():
    f = attention
    softmax = f.softmax(SCORES, MASK)
    close(softmax, scipy.special.softmax(np.where(MASK, SCORES, -np.inf), -1))
    close(f.entmax(SCORES, MASK, alpha=2.0), f.sparsemax(SCORES, MASK))
    close(f.entmax(SCORES, MASK, alpha=1.5), f.entmax15(SCORES, MASK))
    close(f.entmax(SCORES, MASK, alpha=1.0001), softmax, 1e-3)
    close(f.entmax(SCORES, MASK, alpha=200.0), f.hard(SCORES, MASK), 1e-2)
    close(f.sink(SCORES, MASK, logit=-1e4), softmax)
    close(f.sink(SCORES, MASK), f.softmax1(SCORES, MASK))
    close(f.sinkhorn(SCORES, MASK, iterations=1), softmax)
    close(f.topk(SCORES, MASK, k=9), softmax)
    close(f.topk(SCORES, MASK, k=1), f.hard(SCORES, MASK))
    close(f.softcap(SCORES, 1e6), SCORES, 1e-5)
    close(f.differential(SCORES, -SCORES, MASK, mix=0.0), softmax)
    close(f.clipped(SCORES, MASK, gamma=0.0), softmax)
    close(f.clipped(SCORES, MASK, gamma=None, alpha=0.0), softmax)
    close(f.ssmax(SCORES, jnp.ones_like(MASK), kappa=1 / np.log(9)), f.softmax(SCORES), 1e-5)
    close(f.log_length(SCORES, train_length=9), f.softmax(SCORES), 1e-5)
    close(f.gumbel(SCORES, MASK, noise=jnp.zeros(9)), softmax)
    close(f.taylor(SCORES / 4, MASK, order=12), f.softmax(SCORES / 4, MASK))
    close(f.budget(SCORES, MASK, k=1.0), f.sparsemax(SCORES, MASK))
    close(f.slot(SCORES, MASK, epsilon=0.0), f.double_norm(SCORES, MASK))
    close(f.cog(jnp.abs(SCORES), MASK), f.softmax(jnp.abs(SCORES), MASK))
    close(f.pointwise(SCORES, MASK, activation="sigmoid", power=0.0), f.sigmoid(SCORES, MASK, bias=0.0))
    flat = f.normmax(SCORES, MASK, alpha=1e4)  # the largest keys in equal shares
    close(flat, jnp.where(flat > 0, 1 / (flat > 0).sum(-1, keepdims=True), 0), 1e-2)


@pytest.mark.parametrize("name", ["softmax", "sparsemax", "entmax15", "gumbel"])
def test_cold_is_hard(name):
    extra = {"noise": jnp.zeros(5)} if name == "gumbel" else {}
    cold = getattr(attention, name)(jnp.asarray(Z, jnp.float32), temperature=1e-6, **extra)
    np.testing.assert_array_equal(cold, Z.max() == Z)


SUM_ONE = ["softmax", "sparsemax", "entmax15", "entmax", "normmax", "topk", "hard", "adaptive_temp", "ssmax"]


@pytest.mark.parametrize("name", SUM_ONE)
def test_known_rows(name):
    """Constants give 1/n, one key gets everything, a score far ahead wins, and infinities are seen."""
    run, inf = jit(getattr(attention, name)), np.inf
    for value in (0.0, 1e4, -1e4, 1e-30):
        close(run(jnp.full((7,), value)), np.eye(7)[0] if name == "hard" else np.full(7, 1 / 7))
        close(run(jnp.full((1,), value)), [1.0])
    close(run(jnp.array([0.0, 1e4, -1e4])), [0, 1, 0])
    close(run(jnp.array([3.0, 1e4, 1e4])), [0, 1, 0] if name == "hard" else [0, 0.5, 0.5])
    close(run(jnp.array([0.0, -inf, 0.0])), [1, 0, 0] if name == "hard" else [0.5, 0, 0.5])
    close(run(jnp.array([0.0, inf, -inf]), jnp.array([True, False, True])), [1, 0, 0])
    if name != "hard":
        for row in ([0.0, inf, 1.0], [-inf, -inf, -inf], [inf, inf, -inf]):
            assert np.isnan(run(jnp.array(row))).any()


# Thresholds on long rows, where they are first looked for among a part of the keys.


@pytest.mark.parametrize("length", [128, 700])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 30.0])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("sparsemax", {}),
        ("entmax15", {}),
        ("entmax", {"alpha": 1.3}),
        ("entmax", {"alpha": 1.9}),
        ("normmax", {}),
        ("budget", {"k": 3.5}),
        ("topk", {"k": 100}),
    ],
)
def test_long_rows(name, options, scale, length):
    rng = np.random.default_rng(length)
    scores = rng.normal(0, scale, (6, length)).astype(np.float32)
    mask = rng.random(scores.shape) > 0.4
    mask[0], mask[1], mask[2] = False, np.arange(length) < 3, True
    scores[3] = np.sort(scores[3])  # neighbours are alike
    scores[4, : length // 2] = scores[4].max()  # many ties at the top
    weights = jit(functools.partial(getattr(attention, name), **options))(scores, mask)
    wanted = np.stack([getattr(r, name)(s.astype(np.float64), m, **options) for s, m in zip(scores, mask)])
    close(weights, wanted, 2e-6 * max(scale, 1.0) if name == "budget" else 2e-6)  # its threshold is among the scores
    close(np.asarray(weights, np.float64).sum(-1), wanted.sum(-1), 2e-5)


def test_learned_alpha_on_long_rows():
    """An order per row, many of them at once, is each on its own."""
    scores, alphas = normal(0, 5, 300), np.float32([1.05, 1.3, 1.5, 2.0, 2.2])
    together = jit(lambda s, a: attention.entmax(s, alpha=a))(scores, alphas[:, None])
    for row, alpha, weights in zip(scores, alphas, together):
        close(weights, r.entmax(np.asarray(row, np.float64), [True] * 300, alpha=float(alpha)), 1e-5)


@given(st.lists(st.floats(-50, 50, width=32), min_size=2, max_size=12), st.integers(1, 12))
def test_topk_keeps_ties_and_no_others(row, k):
    scores = np.float32(row)
    kept = np.asarray(attention.topk(jnp.asarray(scores), k=k))
    bound = np.sort(scores)[::-1][: min(k, len(row))][-1]
    assert ((kept > 0) <= (scores >= bound)).all()
    assert ((scores >= bound) & (scores > scores.max() - 50) <= (kept > 0)).all()
    close(kept, r.topk(np.float64(scores), [True] * len(row), k), 1e-5)


def test_sparsemax_margin():
    """A lead of 1 or more makes it one-hot, a smaller one does not."""
    close(attention.sparsemax(jnp.array([1.0, 0.0, -0.5])), [1, 0, 0], 0)
    close(attention.sparsemax(jnp.array([0.99, 0.0, -0.5])), [0.995, 0.005, 0])


# Rows that couple.


def test_sinkhorn_is_doubly_stochastic_in_the_end():
    square = normal(1, 5, 5, scale=3.0)
    for iterations, tolerance in ((3, 1.0), (2001, 1e-4)):
        weights = attention.sinkhorn(square, iterations=iterations)
        close(weights.sum(-1), 1.0, 1e-5)
        assert np.abs(weights.sum(-2) - 1).max() < tolerance
    assert np.abs(attention.softmax(square).sum(-2) - 1).max() > 0.3
    # Padded queries and keys leave the problem.
    valid = jnp.arange(8) < 5
    padded = attention.sinkhorn(jnp.pad(square, (0, 3)), valid[:, None] & valid, iterations=2001)
    close(padded[:5, :5], weights, 1e-5)


def test_slot_competes_over_queries():
    """A key that one query wants far more goes to it; with ε a query that lost all keys gets their mean."""
    scores = jnp.array([[30.0, 30.0, 30.0], [0.0, 0.0, 0.0]])
    close(attention.slot(scores, epsilon=1e-4), np.full((2, 3), 1 / 3), 1e-5)
    close(attention.slot(10 * scores, epsilon=0.0), [[1 / 3] * 3, [0] * 3])
    close(attention.double_norm(10 * scores), np.full((2, 3), 1 / 3))


# Noise.


def test_gumbel_samples_softmax():
    """Hard samples come as often as softmax says: 20,000 draws, within five standard deviations."""
    z = jnp.array([0.0, 1.0, -1.0, 5.0])
    mask = jnp.array([True, True, True, False])
    draws = attention.gumbel(jnp.tile(z, (20000, 1)), mask, rng=jax.random.key(0), hard=True)
    np.testing.assert_array_equal(draws.sum(-1), 1)
    wanted = np.asarray(attention.softmax(z, mask))
    close(draws.mean(0), wanted, 5 * np.sqrt(0.25 / 20000))
    soft = attention.gumbel(z, mask, rng=jax.random.key(1), temperature=0.01)
    assert soft.max() > 0.99


def test_gumbel_in_a_model():
    """Noise in training only, another for every key and for every block of a kernel."""
    arrays = inputs(T=64, S=64)
    run = lambda rng, train, **rest: attention.attend(
        *arrays, normalizer="gumbel", call=Call(rng=rng, train=train), return_weights=True, **rest
    )[1]
    one, two = jax.random.key(1), jax.random.key(2)
    close(run(None, False), attention.attend(*arrays, return_weights=True)[1])
    np.testing.assert_array_equal(run(one, True), run(one, True))
    assert not np.allclose(run(one, True), run(two, True), atol=0.1)
    assert not np.allclose(run(one, True), run(None, False), atol=0.1)
    with pytest.raises(ValueError, match=r"gumbel draws from call\.rng in training, which is None"):
        run(None, True)
    same = jnp.broadcast_to(arrays[0][:, :1], arrays[0].shape)
    output = attention.attend(same, *arrays[1:], normalizer="gumbel", call=Call(rng=one, train=True), kernel="chunked")
    assert np.unique(np.asarray(output)[0, :, 0, 0]).size == 64


# Hooks around the weights.


def _numpy_norm(x, form):
    x = np.asarray(x, np.float64)
    if form.startswith("l2"):
        return x / np.sqrt((x**2).sum(-1, keepdims=True))
    if form == "layernorm":
        x = x - x.mean(-1, keepdims=True)
        return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6)
    axes = (-2, -1) if form == "rms_full" else -1
    return x / np.sqrt((x**2).mean(axes, keepdims=True) + 1e-6)


@pytest.mark.parametrize("score", ["dot", "scaled_dot"])
@pytest.mark.parametrize("form", ["l2_scale", "l2_fixed", "l2_head_clamp", "rms_head", "rms_full", "layernorm"])
def test_qk_norm(form, score):
    """Six forms, written out; the first three make the score's scale irrelevant. Zero vectors have finite gradients."""
    query, key, value = inputs(B=1, T=3, S=4)
    record = attention.build("normalizer", f"qk_norm(form={form})")
    params = init(record)
    own = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params[1])
    q, k = _numpy_norm(query, form), _numpy_norm(key, form)
    if form.startswith("l2"):
        gain = {"l2_fixed": 10.0, "l2_scale": own.get("scale"), "l2_head_clamp": None}[form]
        if form == "l2_head_clamp":
            gain = np.exp(np.minimum(own["log_scale"], np.log(100)))[None, None, :, None]
        q = q * gain
    else:
        q, k = q * own["query"], k * own["key"]
    scale = 1.0 if form.startswith("l2") or score == "dot" else 8**-0.5
    logits = np.einsum("btnh,bsnh->bnts", q, np.repeat(k, 2, 2)) * scale
    options = {"normalizer": record, "score": score, "params": {"normalizer": params}, "return_weights": True}
    run = lambda q: attention.attend(q, key, value, **options)
    close(run(query)[1], scipy.special.softmax(logits, -1), 1e-5)
    with jax.debug_nans(True):
        gradient = jit(jax.grad(lambda q: jnp.sum(run(q)[0] ** 2)))(jnp.zeros_like(query))
    assert np.isfinite(gradient).all()


def test_qk_norm_starts():
    """g = log2(L² - L), log 10 and 1, by form; l2_head_clamp never exceeds 100."""
    start = lambda form: attention.build("normalizer", f"qk_norm(form={form})").init(jax.random.key(0), DIMS._replace(layer=0))
    close(start("l2_scale")["scale"], np.log2(48**2 - 48))
    close(start("l2_head_clamp")["log_scale"], np.log(10))
    assert all((leaf == 1).all() for leaf in start("rms_full").values())
    assert {name: leaf.shape for name, leaf in start("rms_full").items()} == {"query": (4, 8), "key": (2, 8)}
    query, key, value = inputs(B=1, T=3, S=3)
    options = {"normalizer": "qk_norm(form=l2_head_clamp)", "return_weights": True}
    params = lambda rho: {"normalizer": ({}, {"log_scale": jnp.full(4, rho)})}
    weights = lambda rho: attention.attend(query, key, value, params=params(rho), **options)[1]
    np.testing.assert_array_equal(weights(5.0), weights(9.0))
    assert not np.allclose(weights(1.0), weights(2.0))


def test_pos_temp():
    """q (1 + c log(1 + ⌊(i+1)/F⌋)): the first F - 1 positions are left alone; per example; the model's positions count."""
    query, positions = normal(0, 2, 5, 1, 3), jnp.array([[0, 6, 7, 15, 8191], [0, 1, 2, 3, 4]])
    found = attention.pos_temp(query, positions, scale=0.1, floor=8)
    factor = 1 + 0.1 * np.log(1 + np.floor((np.asarray(positions) + 1) / 8))
    close(found, np.asarray(query) * factor[..., None, None], 1e-5)
    np.testing.assert_array_equal(found[1], query[1])
    q, k, v = inputs(B=1, T=4, S=4)
    late = Call(q_positions=jnp.arange(4)[None] + 100, k_positions=jnp.arange(4)[None])
    run = lambda call: attention.attend(q, k, v, normalizer="pos_temp(floor=50)", call=call)
    close(run(Call()), attention.attend(q, k, v))
    close(run(late), attention.attend(q * (1 + 0.1 * np.log(3)), k, v), 1e-5)


def test_differential_output():
    """Values of two heads side by side, each map pair, RMS norm per head, times 1 - λ₀ of the layer."""
    query, key, value = inputs(B=1, T=3, S=5)
    record = attention.build("normalizer", "differential")
    params = init(record)
    for layer in (0, 3):
        call = Call(layer=layer)
        output, weights = attention.attend(
            query, key, value, normalizer=record, params={"normalizer": params}, call=call, return_weights=True
        )
        wide = np.asarray(value, np.float64).reshape(1, 5, 1, 16)
        sums = np.einsum("bnts,bsh->btnh", np.asarray(weights, np.float64), wide[:, :, 0])
        normed = sums / np.sqrt((sums**2).mean(-1, keepdims=True) + 1e-5) * (1 - initial_mix(layer))
        close(output, normed.reshape(1, 3, 4, 8), 1e-5)
    close([initial_mix(0), initial_mix(1)], [0.2, 0.8 - 0.6 * np.exp(-0.3)])


def test_rela_output():
    output = normal(0, 2, 3, 4, 8)
    scale, gate = normal(1, 4, 8), normal(2, 4, 8)
    x = np.asarray(output, np.float64)
    rms = np.sqrt((x**2).mean((-2, -1), keepdims=True) + 1e-6)
    close(attention.gated_rms_norm(output, scale, gate), scale * x / rms / (1 + np.exp(-np.asarray(gate) * x)), 1e-5)
    close(attention.gated_rms_norm(0 * output, scale, gate), 0 * x)


def test_learned_parameters_start_at_the_plain_method():
    """A learned temperature at 1, κ at softmax for the training length, a sink at 0, the sigmoid's bias at -log n."""
    start = lambda spec: attention.build("normalizer", spec).init(jax.random.key(0), DIMS._replace(layer=1))
    close(start("softmax(temperature=learned)")["log_temperature"], np.zeros(4))
    close(start("ssmax(bias=True)")["kappa"], np.full(4, 1 / np.log(48)))
    close(start("ssmax(bias=True)")["bias"], np.zeros(4))
    close(start("sink(logit=-3)")["logit"], np.full(4, -3.0))
    close(start("sigmoid(bias=learned)")["bias"], np.full(4, -np.log(48)))
    close(start("entmax(alpha=learned)")["alpha_logit"], np.zeros(4))
    for name in ("q1", "k1", "q2", "k2"):
        assert 0.02 < np.std(start("differential")[name]) < 0.3


def test_adaptive_temperature_is_for_evaluation():
    record = attention.build("normalizer", "adaptive_temp")
    flat = jnp.linspace(0, 1, 40)[None, None, None]
    close(record.apply(({}, {}), flat, None, Call(train=True)), attention.softmax(flat))
    assert not np.allclose(record.apply(({}, {}), flat, None, Call()), attention.softmax(flat), atol=1e-4)
    always = attention.build("normalizer", "adaptive_temp(when=always)")
    close(always.apply(({}, {}), flat, None, Call(train=True)), record.apply(({}, {}), flat, None, Call()))


def test_ssmax_multiplies():
    """κ added or subtracted would cancel: the weights have to move with it."""
    weights = [attention.ssmax(SCORES, kappa=kappa) for kappa in (0.2, 0.4)]
    assert np.abs(weights[0] - weights[1]).max() > 0.05


def test_what_the_tutorials_slip_does():
    """Without a guard, scores that cancel explode; with it they stay finite."""
    weights = attention.sum_norm(jnp.array([1.0, -1.0, 1e-9]))
    assert np.abs(weights).max() <= 1.001e6
    close(attention.sum_norm(jnp.array([1.0, -3.0]), form="absolute"), [0.25, -0.75])
