"""What every normalizer promises: its reference and derivatives, masks, padding, parameters, and its public function."""

import functools
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import attention
from attention.records import Call
from tests.support.helpers import DIMS, assert_close, float64, init, inputs, jit, normal, size, unchecked
from tests.support.normalizers import OFFSET, G, Z
from tests.support.rows import cases, over_cases, over_knobs, over_rows, rows

B, N, T, S = 2, DIMS.num_heads, 5, 7
every = over_cases("normalizer")
EVIDENCE = {name: row.evidence for name, row in rows("normalizer").items()}
LAWS = {(name, law): found for name, evidence in EVIDENCE.items() for law, found in evidence.laws.items()}


@functools.cache
def record(spec):
    return attention.build("normalizer", spec)


@functools.cache
def params(spec):
    return {} if record(spec).init is None else init(record(spec))


def call(queries=T, keys=S, offset=OFFSET):
    return Call(jnp.arange(queries)[None] + offset, jnp.arange(keys)[None], max_length=DIMS.max_length)


def problem(spec, seed=0, scale=2.0):
    """Scores, mask and upstream with an empty row, a full one, one with a single key, ties, and a constant row."""
    rng = np.random.default_rng(seed)
    scores = rng.normal(0, scale, (B, N, T, S)).astype(np.float32)
    mask = rng.random((B, 1, T, S)) > 0.3
    mask[0, :, 0], mask[0, :, 1], mask[0, :, 2] = False, True, np.arange(S) == 3
    scores[1, :, 0], scores[1, :, 1] = np.round(scores[1, :, 0]), 1.25
    if record(spec).needs_causal:
        mask = mask & (np.arange(S) <= np.arange(T)[:, None] + OFFSET)
    return scores, mask, rng.normal(size=(B, N // record(spec).maps, T, S)).astype(np.float32)


@functools.cache
def run(spec):
    """Weights, and the gradients of Σ weights·upstream by parameters and scores."""

    def loss(params, scores, mask, upstream):
        weights = record(spec).apply(params, scores, mask, call(*scores.shape[-2:]))
        return jnp.sum(weights * upstream), weights

    @jit
    def both(params, scores, mask, upstream):
        gradients, weights = jax.grad(loss, argnums=(0, 1), has_aux=True)(params, scores, mask, upstream)
        return weights, gradients

    return lambda scores, mask, upstream: both(params(spec), scores, mask, upstream)


def reference(maps, scores, mask, own):
    broad = np.broadcast_to(mask, scores.shape)
    return np.stack([maps(np.asarray(s, np.float64), m, own) for s, m in zip(scores, broad)])


# Two witnesses: numbers computed apart from this project, and the formula in NumPy float64.


@pytest.mark.parametrize("spec", [spec for spec, (_, case) in cases("normalizer").items() if case.golden is not None])
def test_golden_values(spec):
    """Without jit, too: what is compiled elsewhere is the same."""
    name, case = cases("normalizer")[spec]
    weights, options = case.golden
    function = functools.partial(getattr(attention, name), **options)
    np.testing.assert_allclose(function(jnp.asarray(Z, jnp.float32)), weights, atol=1e-6)
    if case.gradient is not None:
        found = jit(jax.grad(lambda z: jnp.sum(function(z) * G)))(jnp.asarray(Z, jnp.float32))
        np.testing.assert_allclose(found, case.gradient, atol=1e-5)


@every
def test_reference(case):
    spec = case.spec
    scores, mask, upstream = problem(spec)
    weights, _ = run(spec)(scores, mask, upstream)
    assert weights.dtype == jnp.float32
    assert weights.shape == (B, N // record(spec).maps, T, S)
    np.testing.assert_allclose(weights, reference(case.maps, scores, mask, float64(params(spec))), atol=case.tolerance)


@every
def test_derivatives(case):
    """In float64: weights to 1e-10; the gradient of scores and every parameter against finite differences of the reference;
    forward mode against reverse mode; and the second derivative against finite differences of the first."""
    spec = case.spec
    scores, mask, upstream = problem(spec, seed=3)
    scores[1, :, :2] = np.random.default_rng(4).normal(0, 2, (N, 2, S))  # no ties: there sparse ones have a kink
    rng = np.random.default_rng(5)
    exact, scores, upstream = float64(params(spec)), scores.astype(np.float64), upstream.astype(np.float64)
    direction = jax.tree.map(lambda leaf: rng.normal(size=leaf.shape), (exact, scores))

    def loss(arrays):
        params, scores = arrays
        return jnp.sum(record(spec).apply(params, scores, jnp.asarray(mask), call()) * upstream)

    @jit
    def differentiate(arrays, direction):
        gradient, second = jax.jvp(jax.grad(loss), (arrays,), (direction,))
        forward = jax.jvp(loss, (arrays,), (direction,))[1]
        return record(spec).apply(*arrays, jnp.asarray(mask), call()), gradient, second, forward

    with jax.enable_x64(True):
        at = lambda step: jax.tree.map(lambda x, d: jnp.asarray(x + step * d), (exact, scores), direction)
        weights, gradient, second, forward = differentiate(at(0.0), direction)
        assert weights.dtype == jnp.float64
        before, after = (float64(differentiate(at(step), direction)[1]) for step in (-1e-6, 1e-6))
        gradient, second = float64((gradient, second))
    np.testing.assert_allclose(weights, reference(case.maps, scores, mask, exact), atol=1e-10)
    along = sum(np.sum(g * d) for g, d in zip(jax.tree.leaves(gradient), jax.tree.leaves(direction)))
    np.testing.assert_allclose(forward, along, rtol=1e-9)

    def moved(step):
        own, moved_scores = jax.tree.map(lambda x, d: x + step * d, (exact, scores), direction)
        return np.sum(reference(case.straight or case.maps, moved_scores, mask, own) * upstream)

    np.testing.assert_allclose(along, (moved(1e-6) - moved(-1e-6)) / 2e-6, rtol=1e-6, atol=1e-7)
    for found, low, high in zip(*map(jax.tree.leaves, (second, before, after))):
        np.testing.assert_allclose(found, (high - low) / 2e-6, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("law", LAWS, ids=": ".join)
def test_laws(law):
    """Where one method becomes another."""
    one, other, tolerance = LAWS[law]
    scores, where = normal(0, 6, 9, scale=2.0), jnp.asarray(np.random.default_rng(0).random((6, 9)) > 0.3)
    np.testing.assert_allclose(*jit(lambda s, w: (one(s, w), other(s, w)))(scores, where), atol=tolerance)


# The contract.


@every
def test_masked_means_zero(case):
    """No weight, no gradient and no influence; an empty row is zeros, with finite gradients."""
    spec = case.spec
    scores, mask, upstream = problem(spec)
    shown = np.broadcast_to(mask, (B, N // record(spec).maps, T, S))
    with jax.debug_nans(True):
        weights, gradients = jax.block_until_ready(run(spec)(scores, mask, upstream))
    np.testing.assert_array_equal(weights[~shown], 0)
    np.testing.assert_array_equal(gradients[1][~np.broadcast_to(mask, scores.shape)], 0)
    np.testing.assert_array_equal(weights[0, :, 0], 0)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradients))
    for poison in (1e30, -1e30, np.inf, -np.inf, np.nan):
        poisoned = run(spec)(np.where(mask, scores, np.float32(poison)), mask, upstream)
        jax.tree.map(np.testing.assert_array_equal, poisoned, (weights, gradients))


@every
def test_padding_changes_nothing(case):
    """Appending masked keys; and, where queries couple, masked queries."""
    spec, more = case.spec, 7
    scores, mask, upstream = problem(spec)
    queries = more if record(spec).reads == "all" else 0
    wider = lambda x, value: np.pad(x, ((0, 0), (0, 0), (0, queries), (0, more)), constant_values=value)
    weights, (by_params, by_scores) = run(spec)(scores, mask, upstream)
    padded, (padded_by_params, padded_by_scores) = run(spec)(wider(scores, 3.0), wider(mask, False), wider(upstream, 5.0))
    np.testing.assert_allclose(padded[..., :T, :S], weights, atol=1e-6)
    np.testing.assert_array_equal(padded[..., S:], 0)
    np.testing.assert_array_equal(padded[..., T:, :], 0)
    np.testing.assert_allclose(padded_by_scores[..., :T, :S], by_scores, atol=2e-6)
    jax.tree.map(functools.partial(np.testing.assert_allclose, atol=2e-5), padded_by_params, by_params)


@every
def test_order_of_keys(case):
    """Keys that change places take their weights along, except where the order is what counts."""
    scores, _, upstream = problem(case.spec)
    scores = np.asarray(normal(1, *scores.shape, scale=2.0))  # without ties
    everything = np.ones((B, 1, T, S), bool)
    weights, _ = run(case.spec)(scores, everything, upstream)
    turned, _ = run(case.spec)(scores[..., ::-1], everything, upstream)
    assert np.allclose(turned[..., ::-1], weights, atol=1e-6) != case.order


@every
def test_each_example_alone_and_in_low_precision(case):
    """What else is in the batch changes nothing, vmap is the batch, and all is computed in float32 whatever comes in."""
    spec = case.spec
    scores, mask, _ = problem(spec)

    @jit
    def others(scores, mask):
        apply = lambda scores, mask: record(spec).apply(params(spec), scores, mask, call())
        mapped = jax.vmap(lambda s, m: apply(s[None], m[None])[0])(scores, mask)
        pairs = [(apply(x, mask), apply(x.astype(jnp.float32), mask)) for x in map(scores.astype, (jnp.bfloat16, jnp.float16))]
        return apply(scores, mask), mapped, apply(scores[1:], mask[1:]), pairs

    together, mapped, alone, pairs = others(scores, mask)
    np.testing.assert_allclose(together, mapped, atol=1e-6)
    np.testing.assert_allclose(together[1:], alone, atol=1e-6)
    for narrow, wide in pairs:
        np.testing.assert_allclose(narrow.astype(jnp.float32), wide, rtol=1e-2, atol=1e-3)


@every
def test_one_key(case):
    """A row of length 1 is no special case; the key is the query's own."""
    spec = case.spec

    @jit
    def run(scores, where):
        apply = lambda mask: record(spec).apply(params(spec), scores, mask, call(1, 1, offset=0))
        return apply(None), apply(where)

    one, masked = run(jnp.full((1, N, 1, 1), 0.7), jnp.zeros((1, 1, 1, 1), bool))
    if record(spec).claims.row_sum == "one":
        np.testing.assert_allclose(one, 1.0, rtol=1e-6)
    assert np.isfinite(one).all()
    np.testing.assert_array_equal(masked, 0)


@every
def test_parameters(case):
    """Their number by formula, and no way to make them where there are none."""
    assert size(params(case.spec)) == case.count
    assert (record(case.spec).init is None) == (case.count == 0)


@functools.cache
def _in_attention(spec, fields):
    """The shapes of the parameters, and a function of attention to random inputs with its gradient."""
    own, arrays = {"normalizer": params(spec)}, inputs(B=1, T=12, S=12)
    arrays = (8 * arrays[0], *arrays[1:])
    options = {"normalizer": spec, "mask": "causal" if record(spec).needs_causal else "full"}
    options["call"] = Call(max_length=DIMS.max_length, **dict(fields))
    loss = lambda arrays: jnp.sum(jnp.sin(attention.attend(*arrays, params=own, **options)))
    return jax.tree.map(jnp.shape, own), jit(jax.value_and_grad(loss))(arrays)


@over_knobs("normalizer")
def test_no_dead_options(knob):
    """Every option changes the parameters, what attention makes of random inputs, or its gradient."""
    fields = tuple(EVIDENCE[knob.name].call.items())
    try:
        record(knob.without)
    except ValueError:  # of two options that exclude each other one has to be given
        knob = knob._replace(without=rows("normalizer")[knob.name].spec)
    (shapes, found), (other_shapes, other) = (_in_attention(spec, fields) for spec in (knob.without, knob.with_))
    assert shapes != other_shapes or not all(map(np.allclose, *map(jax.tree.leaves, (found, other))))


# Public functions of scores.

PUBLIC = {name: evidence.public for name, evidence in EVIDENCE.items() if evidence.public is not None}
COUPLED = [name for name in PUBLIC if record(name).reads == "all"]
# Those whose rows are shares of one whole, whatever is added to the scores.
_share = lambda claims: claims.row_sum == "one" and claims.shift_invariant
SHARES = [name for name in PUBLIC if name not in COUPLED and _share(record(name).claims)]


def public(name):
    if callable(PUBLIC[name]):
        return PUBLIC[name]
    return functools.partial(unchecked(getattr(attention, name)), **PUBLIC[name])


@pytest.mark.parametrize("name", [name for name in PUBLIC if name not in COUPLED])
def test_any_axis(name):
    scores, where = normal(0, 3, 5, 4), jnp.asarray(np.random.default_rng(0).random((3, 5, 4)) > 0.3)

    @jit
    def run(scores, where):
        there = lambda x, axis: jnp.moveaxis(x, axis, -1)
        moved = [jnp.moveaxis(public(name)(there(scores, a), there(where, a)), -1, a) for a in (0, -2)]
        found = [public(name)(scores, where, axis=a) for a in (0, -2)]
        wide = jnp.broadcast_to(where[0], where.shape)
        return (moved, public(name)(scores, wide, axis=0)), (found, public(name)(scores, where[0], axis=0))

    assert_close(*run(scores, where), tolerance=1e-6)


@pytest.mark.parametrize("name", COUPLED)
def test_any_two_axes(name):
    scores, where = normal(0, 3, 5, 4), jnp.asarray(np.random.default_rng(0).random((3, 5, 4)) > 0.3)
    moved = public(name)(jnp.moveaxis(scores, (0, 1), (-1, -2)), jnp.moveaxis(where, (0, 1), (-1, -2)))
    found = public(name)(scores, where, axis=0, query_axis=1)
    np.testing.assert_allclose(found, jnp.moveaxis(moved, (-1, -2), (0, 1)), atol=1e-6)


@pytest.mark.parametrize("name", PUBLIC)
def test_no_mask_is_a_full_one(name):
    """And a NaN score makes its own weight NaN, and leaves other rows alone where they do not couple."""
    scores = normal(1, 4, 9)
    run = jit(lambda s: (public(name)(s), public(name)(s, jnp.ones((4, 9), bool))))
    np.testing.assert_allclose(*run(scores), atol=1e-7)
    weights = np.asarray(run(scores.at[0, 1].set(jnp.nan))[0])
    assert np.isnan(weights[0, 1])
    assert name in COUPLED or np.isfinite(weights[1:]).all()
    assert jax.eval_shape(public(name), scores.astype(jnp.bfloat16)).dtype == jnp.bfloat16


@pytest.mark.parametrize("name", PUBLIC)
def test_bad_masks(name):
    scores = jnp.ones((2, 3))
    with pytest.raises(ValueError, match=r"boolean .* got dtype int32"):
        public(name)(scores, jnp.ones((2, 3), jnp.int32))
    for shape in [(3, 3), (2, 2), (1, 2, 3), (3, 1)]:
        with pytest.raises(ValueError, match="does not broadcast to scores"):
            public(name)(scores, jnp.ones(shape, bool))


@over_rows("normalizer")
def test_bad_arguments(name, row):
    for options, message in row.evidence.refused:
        with pytest.raises(ValueError, match=message):
            unchecked(getattr(attention, name))(jnp.ones((2, 3)), **options)


@pytest.mark.parametrize("name", SHARES)
def test_known_rows(name):
    """Constants give 1/n, one key gets everything, a score far ahead wins, and infinities are seen."""
    run, inf = jit(public(name)), np.inf
    shared = EVIDENCE[name].ties
    is_close = functools.partial(np.testing.assert_allclose, atol=1e-6)
    for value in (0.0, 1e4, -1e4, 1e-30):
        is_close(run(jnp.full((7,), value)), np.full(7, 1 / 7) if shared else np.eye(7)[0])
        is_close(run(jnp.full((1,), value)), [1.0])
    is_close(run(jnp.array([0.0, 1e4, -1e4])), [0, 1, 0])
    is_close(run(jnp.array([3.0, 1e4, 1e4])), [0, 0.5, 0.5] if shared else [0, 1, 0])
    is_close(run(jnp.array([0.0, -inf, 0.0])), [0.5, 0, 0.5] if shared else [1, 0, 0])
    is_close(run(jnp.array([0.0, inf, -inf]), jnp.array([True, False, True])), [1, 0, 0])
    if shared:
        for row in ([0.0, inf, 1.0], [-inf, -inf, -inf], [inf, inf, -inf]):
            assert np.isnan(run(jnp.array(row))).any()


@pytest.mark.parametrize("name", SHARES)
def test_cold_is_hard(name):
    if "temperature" in inspect.signature(getattr(attention, name)).parameters:
        cold = public(name)(jnp.asarray(Z, jnp.float32), temperature=1e-6)
        np.testing.assert_array_equal(cold, Z.max() == Z)


@pytest.mark.parametrize("name", PUBLIC)
def test_documentation(name):
    """Arguments, what is returned, errors, NaN, second derivatives, an example and the source."""
    text = " ".join(getattr(attention, name).__doc__.split())
    for section in ("Args:", "Returns:", "Raises:", "Example:", "Source:", "econd order", "NaN", "``[..., S]``"):
        assert section in text, section
