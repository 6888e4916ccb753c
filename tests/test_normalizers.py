import functools
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import reference
import scipy.optimize
import scipy.special
from helpers import DIMS, init, jit, normal, unchecked
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import attention
from attention.records import Call

# One row per variant: its reference, the reference of its gradient, an unrelated witness, and golden values at Z (rows of
# length 5) with the gradient for the upstream gradient G. The golden values were computed apart from this project.
Z = np.array([1.0, 2.0, 0.5, -1.0, 1.8])
G = np.array([1.0, 2.0, 3.0, 4.0, 5.0])


def _projection(row):
    return optax.projections.projection_simplex(jnp.asarray(row))


def _odds(row):
    """a = 1 / (1 + n e^-s), the sigmoid with bias -log n written out."""
    return 1 / (1 + len(row) * np.exp(-row))


ROWS = {
    "softmax": (
        reference.softmax,
        reference.softmax_vjp,
        scipy.special.softmax,
        [0.14957322, 0.40658217, 0.09072075, 0.02024253, 0.33288133],
        None,
    ),
    "sparsemax": (reference.sparsemax, reference.sparsemax_vjp, _projection, [0, 0.6, 0, 0, 0.4], [0, -1.5, 0, 0, 1.5]),
    "sigmoid": (
        reference.sigmoid,
        reference.sigmoid_vjp,
        _odds,
        [0.35218743, 0.59641800, 0.24797569, 0.06853348, 0.54749688],
        None,
    ),
}
NAMES = list(ROWS)
SUMS_TO_ONE = [name for name in NAMES if attention.build("normalizer", name).row_sum == "one"]


def test_every_variant_has_a_row():
    assert set(ROWS) == set(attention.names("normalizer"))


@functools.cache
def _function(name):
    return jit(getattr(attention, name), static_argnames="axis")


@functools.cache
def _gradient(name):
    """Value and gradient of Σ weights·upstream with respect to the scores."""
    function = getattr(attention, name)
    return jit(jax.value_and_grad(lambda scores, where, upstream: jnp.sum(function(scores, where) * upstream)))


def _rows(seed=0, rows=40, length=9, scale=2.0):
    """Random rows with masks, among them an empty, a full, a single key, ties, and a constant row."""
    rng = np.random.default_rng(seed)
    scores = rng.normal(0, scale, (rows, length))
    where = rng.random((rows, length)) > 0.3
    where[0], where[1], where[2] = False, True, np.arange(length) == 4
    scores[3], scores[4] = np.round(scores[3]), 1.25
    return scores, where, rng.normal(size=(rows, length))


# Golden values, references and witnesses.


@pytest.mark.parametrize("name", NAMES)
def test_golden_values(name):
    *_, value, gradient = ROWS[name]
    np.testing.assert_allclose(_function(name)(jnp.asarray(Z, jnp.float32)), value, atol=1e-6)
    if gradient is not None:
        found = _gradient(name)(jnp.asarray(Z, jnp.float32), None, jnp.asarray(G, jnp.float32))[1]
        np.testing.assert_allclose(found, gradient, atol=1e-6)


@pytest.mark.parametrize("temperature", [1.0, 0.3, 5.0])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("float64", 1e-10)])
@pytest.mark.parametrize("name", NAMES)
def test_reference(name, dtype, tolerance, temperature):
    """Value and gradient against plain loops, and the gradient in forward mode too."""
    row, row_vjp, *_ = ROWS[name]
    scores, where, upstream = _rows()
    if dtype == "float32":  # the reference sees what float32 sees, so that near-ties break alike
        scores = scores.astype(dtype).astype(np.float64)
    wanted = np.stack([row(s, m, temperature) for s, m in zip(scores, where)])
    wanted_vjp = np.stack([row_vjp(s, m, g, temperature) for s, m, g in zip(scores, where, upstream)])

    @jit
    def run(scores, where, upstream):
        function = lambda scores: getattr(attention, name)(scores, where, temperature=temperature)
        weights, vjp = jax.vjp(function, scores)
        forward = jax.vmap(lambda unit: jax.jvp(function, (scores,), (jnp.broadcast_to(unit, scores.shape),))[1])(
            jnp.eye(scores.shape[-1], dtype=scores.dtype)
        )
        return weights, vjp(upstream)[0], jnp.einsum("jrk,rk->rj", forward, upstream)

    with jax.enable_x64(dtype == "float64"):
        weights, reverse, forward = run(jnp.asarray(scores, dtype), where, jnp.asarray(upstream, dtype))
        assert weights.dtype == dtype
    np.testing.assert_allclose(weights, wanted, atol=tolerance)
    np.testing.assert_allclose(reverse, wanted_vjp, atol=10 * tolerance)
    np.testing.assert_allclose(forward, wanted_vjp, atol=10 * tolerance)


@pytest.mark.parametrize("name", NAMES)
def test_witness(name):
    """A second implementation that shares nothing with the library or the reference."""
    witness = ROWS[name][2]
    scores = np.asarray(_rows(seed=1)[0], np.float32)
    wanted = np.stack([np.asarray(witness(row)) for row in scores])
    np.testing.assert_allclose(_function(name)(scores), wanted, atol=2e-6)


def test_sparsemax_is_the_nearest_point():
    """θ by bisection: the third way to find it, after Newton's method and sorting."""
    for row in _rows(seed=2)[0]:
        theta = scipy.optimize.bisect(lambda t, row=row: np.maximum(row - t, 0).sum() - 1, row.max() - 1, row.max(), xtol=1e-14)
        np.testing.assert_allclose(_function("sparsemax")(jnp.asarray(row, jnp.float32)), np.maximum(row - theta, 0), atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_finite_differences(name):
    """In float64, at points away from the kinks of the sparse ones."""
    scores, where, upstream = _rows(seed=3, rows=12)
    scores[3:5] = _rows(seed=4, rows=12)[0][5:7]
    plain = lambda s: jnp.sum(getattr(attention, name)(s, jnp.asarray(where)) * upstream, -1)
    with jax.enable_x64(True):
        function, gradient = jit(plain), jit(jax.grad(lambda s: jnp.sum(plain(s))))(jnp.asarray(scores))
        for j, unit in enumerate(np.eye(9)):
            difference = (function(scores + 1e-6 * unit) - function(scores - 1e-6 * unit)) / 2e-6
            np.testing.assert_allclose(gradient[:, j], difference, atol=1e-7)


# The contract.


@pytest.mark.parametrize("name", NAMES)
def test_masked_means_zero(name):
    """C1, C2: no weight, no gradient and no influence; an empty row is zeros, with finite gradients."""
    scores, where, upstream = (jnp.asarray(x, jnp.float32 if x.dtype == float else bool) for x in _rows())
    with jax.debug_nans(True):
        weights = _function(name)(scores, where)
        gradient = jax.block_until_ready(_gradient(name)(scores, where, upstream)[1])
    np.testing.assert_array_equal(weights[~where], 0)
    np.testing.assert_array_equal(gradient[~where], 0)
    np.testing.assert_array_equal(weights[0], 0)
    np.testing.assert_array_equal(gradient[0], 0)
    assert (weights[1:].sum(-1) > 0).all()
    for poison in (1e30, -1e30, np.inf, -np.inf, np.nan):
        poisoned = jnp.where(where, scores, poison)
        np.testing.assert_array_equal(_function(name)(poisoned, where), weights)
        np.testing.assert_array_equal(_gradient(name)(poisoned, where, upstream)[1], gradient)


@pytest.mark.parametrize("name", NAMES)
def test_padding_changes_nothing(name):
    """C3: appending 1 or 7 masked keys."""
    scores, where, upstream = _rows()
    run = _gradient(name)
    for p in (1, 7):
        wider = lambda x, value, p=p: jnp.pad(
            jnp.asarray(x, None if x.dtype == bool else jnp.float32), ((0, 0), (0, p)), constant_values=value
        )
        padded = _function(name)(wider(scores, 3.0), wider(where, False))
        np.testing.assert_allclose(padded[:, :9], _function(name)(scores.astype(np.float32), where), atol=1e-7)
        np.testing.assert_array_equal(padded[:, 9:], 0)
        value, gradient = run(wider(scores, 3.0), wider(where, False), wider(upstream, 5.0))
        plain, plain_gradient = run(
            *(jnp.asarray(x, None if x.dtype == bool else jnp.float32) for x in (scores, where, upstream))
        )
        np.testing.assert_allclose(value, plain, rtol=1e-5)
        np.testing.assert_allclose(gradient[:, :9], plain_gradient, atol=1e-6)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("name", NAMES)
def test_low_precision(name, dtype):
    """C4: computed in float32, cast back at the end."""
    scores, where, _ = _rows()
    narrow = jnp.asarray(scores, dtype)
    weights = _function(name)(narrow, where)
    assert weights.dtype == dtype
    exact = _function(name)(narrow.astype(jnp.float32), where)
    np.testing.assert_array_equal(weights, exact.astype(dtype))
    np.testing.assert_allclose(weights.astype(jnp.float32), _function(name)(scores.astype(np.float32), where), atol=2e-2)


def _scores(low=-1e4, high=1e4):
    """Rows of any kind: huge, tiny, and with many ties."""
    numbers = st.one_of(
        st.floats(low, high, width=32),
        st.floats(-(2.0**-100), 2.0**-100, width=32),
        st.sampled_from([-1.0, 0.0, 0.5, 1.0, 2.0]),
    )
    return hnp.arrays(np.float32, (4, 6), elements=numbers)


MASKS = hnp.arrays(bool, (4, 6))


@pytest.mark.parametrize("name", NAMES)
def test_facts(name):
    """C5, C6: row sum, exact zeros, sign and shift invariance, as the record states them, on rows of any kind."""
    record = attention.build("normalizer", name)
    zero_seen = shift_seen = False

    @given(_scores(), MASKS)
    @example(np.zeros((4, 6), np.float32), np.ones((4, 6), bool))
    @example(np.full((4, 6), 1e4, np.float32), np.ones((4, 6), bool))
    @example(np.tile(np.float32([0, 1e4, -1e4, 1e4, 5, 0]), (4, 1)), np.ones((4, 6), bool))
    @example(np.tile(np.float32([0, 0.2, 0.4, 0.1, -5, 0]), (4, 1)), np.ones((4, 6), bool))
    def check(scores, where):
        nonlocal zero_seen, shift_seen
        weights = np.asarray(_function(name)(scores, where))
        assert np.isfinite(weights).all()
        assert (weights[~where] == 0).all()
        if not record.signed:
            assert (weights >= 0).all()
        if record.row_sum == "one":
            np.testing.assert_allclose(weights.sum(-1), where.any(-1), atol=2e-5)
        if record.row_sum != "any":
            assert (weights.sum(-1) <= 1 + 2e-5).all()
        order = np.argsort(np.where(where, scores, -np.inf), -1)
        assert (np.diff(np.take_along_axis(weights, order, -1), axis=-1) >= -1e-6).all()  # monotone in the scores
        near = np.abs(scores) < 5  # where e^s neither vanishes nor swallows
        zero_seen |= bool((weights[where & near.all(-1, keepdims=True)] == 0).any())
        shifted = np.asarray(_function(name)(np.float32(scores + 64), where))
        exact = (np.float32(scores + 64) - np.float32(64) == scores).all(-1)
        if record.shift_invariant:
            np.testing.assert_allclose(shifted[exact], weights[exact], atol=1e-5)
        shift_seen |= not np.allclose(shifted, weights)

    check()
    assert zero_seen == record.exact_zeros
    assert shift_seen or record.shift_invariant


@pytest.mark.parametrize("name", SUMS_TO_ONE)
def test_known_rows(name):
    """Constants give 1/n, one key gets everything, and a score far ahead wins."""
    run = _function(name)
    for value in (0.0, 1e4, -1e4, 1e-30):
        np.testing.assert_allclose(run(jnp.full((7,), value)), 1 / 7, rtol=1e-5)
        np.testing.assert_allclose(run(jnp.full((1,), value)), 1.0)
    np.testing.assert_allclose(run(jnp.array([0.0, 1e4, -1e4])), [0, 1, 0], atol=1e-7)
    np.testing.assert_allclose(run(jnp.array([3.0, 1e4, 1e4])), [0, 0.5, 0.5], atol=1e-7)


def test_sparsemax_margin():
    """A lead of 1 or more makes it one-hot, a smaller one does not."""
    run = _function("sparsemax")
    np.testing.assert_array_equal(run(jnp.array([1.0, 0.0, -0.5])), [1, 0, 0])
    np.testing.assert_allclose(run(jnp.array([0.99, 0.0, -0.5])), [0.995, 0.005, 0], atol=1e-6)
    long = jnp.asarray(np.random.default_rng(0).normal(0, 1e-3, 3000), jnp.float32)
    np.testing.assert_allclose(run(long), optax.projections.projection_simplex(long), atol=1e-6)
    np.testing.assert_allclose(run(long).sum(), 1, atol=1e-4)


@pytest.mark.parametrize("name", SUMS_TO_ONE)
def test_cold_is_hard(name):
    weights = jit(lambda z: getattr(attention, name)(z, temperature=1e-6))(jnp.asarray(Z, jnp.float32))
    np.testing.assert_array_equal(weights, Z.max() == Z)


@pytest.mark.parametrize("name", NAMES)
def test_any_axis(name):
    scores, where = normal(0, 3, 5, 4), np.random.default_rng(0).random((3, 5, 4)) > 0.3
    run = _function(name)
    for axis in (0, 1, -2):
        moved = jnp.moveaxis(run(jnp.moveaxis(scores, axis, -1), jnp.moveaxis(where, axis, -1)), -1, axis)
        np.testing.assert_allclose(run(scores, where, axis=axis), moved, atol=1e-6)
        np.testing.assert_allclose(
            run(scores, where[:1], axis=axis), run(scores, np.broadcast_to(where[:1], where.shape), axis=axis), atol=1e-6
        )
        np.testing.assert_allclose(
            run(scores, where[0], axis=axis), run(scores, np.broadcast_to(where[0], where.shape), axis=axis), atol=1e-6
        )


@pytest.mark.parametrize("name", NAMES)
def test_batching(name):
    """vmap equals the batch, and a mask that is all True equals none."""
    scores, where = normal(0, 8, 6), np.random.default_rng(1).random((8, 6)) > 0.4
    run = _function(name)
    one_by_one = jit(jax.vmap(getattr(attention, name)))
    np.testing.assert_allclose(one_by_one(scores, where), run(scores, where), atol=1e-7)
    np.testing.assert_allclose(run(scores, np.ones((8, 6), bool)), run(scores), atol=1e-7)


@pytest.mark.parametrize("name", NAMES)
def test_nan_scores(name):
    """A NaN is seen, in its row (or, where rows are not normalised, in its own weight), and in no other row."""
    scores = jnp.asarray(np.tile(Z, (2, 1)), jnp.float32).at[0, 1].set(jnp.nan)
    weights = np.asarray(_function(name)(scores))
    own = name == "sigmoid"
    np.testing.assert_array_equal(np.isnan(weights[0]), [not own, True, not own, not own, not own])
    assert np.isfinite(weights[1]).all()


@pytest.mark.parametrize("name", SUMS_TO_ONE)
def test_infinite_scores(name):
    """-inf is a key that gets nothing; where no row could sum to one, it is NaN and not silently something else."""
    run, inf = _function(name), np.inf
    np.testing.assert_allclose(run(jnp.array([0.0, -inf, 0.0])), [0.5, 0, 0.5])
    for row in ([0.0, inf, 1.0], [-inf, -inf, -inf], [inf, inf, -inf]):
        assert np.isnan(run(jnp.array(row))).any()
        assert not np.allclose(np.nan_to_num(run(jnp.array(row))).sum(), 1)
    np.testing.assert_allclose(run(jnp.array([0.0, inf, -inf]), jnp.array([True, False, True])), [1, 0, 0])


# Temperature and options.


@pytest.mark.parametrize("name", NAMES)
def test_temperature(name):
    """Divides the scores: a number, and exp(ρ) per head, which is 1 at the start."""
    scores, where = normal(0, 2, 4, 3, 6), jnp.asarray(np.random.default_rng(1).random((2, 1, 3, 6)) > 0.3)
    fixed = attention.build("normalizer", f"{name}(temperature=2)")
    learned = attention.build("normalizer", f"{name}(temperature=learned)")
    start = learned.init(jax.random.key(0), DIMS._replace(layer=0))
    assert jax.tree.map(jnp.shape, (learned.init(jax.random.key(0), DIMS), start)) == ({}, {"log_temperature": (4,)})
    assert not jax.tree.leaves((fixed.init(jax.random.key(0), DIMS), fixed.init(jax.random.key(0), DIMS._replace(layer=0))))
    rho = jnp.array([0.0, 0.5, -1.0, np.log(2)], jnp.float32)

    @jit
    def run(scores):
        function = getattr(attention, name)
        by_hand = jnp.stack([function(scores[:, n] / jnp.exp(rho[n]), where[:, 0]) for n in range(4)], 1)
        own = lambda rho: learned.apply(({}, {"log_temperature": rho}), scores, where, Call())
        gradient = jax.grad(lambda rho: jnp.sum(own(rho) ** 2))(rho)
        plain = function(scores, where), learned.apply(({}, start), scores, where, Call())
        return by_hand, own(rho), fixed.apply(({}, {}), scores, where, Call()), gradient, plain

    by_hand, own, two, gradient, (plain, at_start) = run(scores)
    np.testing.assert_allclose(own, by_hand, atol=1e-6)
    np.testing.assert_allclose(two[:, 3], own[:, 3], atol=1e-6)
    np.testing.assert_array_equal(at_start, plain)
    assert (np.abs(gradient) > 1e-4).all()


def test_sigmoid_bias():
    scores, where, _ = _rows(seed=5)
    apply = lambda spec: jit(lambda s, m: attention.build("normalizer", spec).apply(({}, {}), s, m, Call()))
    for bias in (-2.5, 0.0):
        wanted = np.stack([reference.sigmoid(s, m, bias=bias) for s, m in zip(scores, where)])
        np.testing.assert_allclose(apply(f"sigmoid(bias={bias})")(scores.astype(np.float32), where), wanted, atol=1e-6)
    # One key of four that are alike: σ(-log 4) = 1/5, whoever else is padding.
    np.testing.assert_allclose(_function("sigmoid")(jnp.zeros(6), np.arange(6) < 4), [0.2] * 4 + [0] * 2, rtol=1e-6)


def test_reads_is_what_the_weights_depend_on():
    """A normalizer that claims "block" gives each key its weight without the others; the others do not."""
    scores, where = normal(0, 4, 6), jnp.ones((4, 6), bool)
    for spec in (*NAMES, "sigmoid(bias=-1)"):
        record = attention.build("normalizer", spec)
        whole = record.apply(init(record), scores, where, Call())
        part = record.apply(init(record), scores[:, :3], where[:, :3], Call())
        assert np.allclose(whole[:, :3], part) == (record.reads == "block"), spec


# Bad input.


@pytest.mark.parametrize("name", NAMES)
def test_bad_input(name):
    function = unchecked(getattr(attention, name))
    scores = jnp.ones((2, 3))
    for temperature in (0.0, -1.0, float("inf"), float("nan")):
        with pytest.raises(ValueError, match=f"temperature must be a finite number > 0, got {temperature}"):
            function(scores, temperature=temperature)
    with pytest.raises(ValueError, match=r"boolean .* got dtype int32"):
        function(scores, jnp.ones((2, 3), jnp.int32))
    for shape in [(3, 3), (2, 2), (1, 2, 3), (3, 1)]:
        with pytest.raises(ValueError, match="does not broadcast to scores"):
            function(scores, jnp.ones(shape, bool))
    with pytest.raises(ValueError, match="temperature must be a finite number > 0"):
        attention.build("normalizer", f"{name}(temperature=0)")
    assert "ValueError" in inspect.getdoc(function)


def test_bad_sigmoid_bias():
    with pytest.raises(ValueError, match="a number or 'row', got 'rows'"):
        attention.build("normalizer", "sigmoid(bias=rows)")
