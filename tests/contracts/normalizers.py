"""What every normalizer promises: its reference and derivatives, masks, padding, parameters and options."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import attention
from attention import compatibility
from attention.attend import parts_of
from attention.records import Call
from tests.support.helpers import DIMS, float64, init, inputs, jit, normal, size, unchecked
from tests.support.normalizers import OFFSET
from tests.support.rows import over_cases, over_knobs, over_rows, rows

B, N, T, S = 2, DIMS.num_heads, 5, 7
every = over_cases("normalizer")


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


# The formula in NumPy float64.


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


# The contract.


@every
def test_positions(case):
    """What the fact says: elsewhere among the same keys, queries get other weights only of what reads positions."""
    made, query, scores = record(case.spec), normal(0, B, T, N, 8), normal(1, B, N, T, S)

    def at(offset):
        here, key = call(offset=offset), query[:, :, : DIMS.kv_heads]
        pair = None if made.qk is None else made.qk(params(case.spec), query, key, here)
        return pair, made.apply(params(case.spec), scores, None, here)

    differ = [not np.allclose(*leaves) for leaves in zip(jax.tree.leaves(at(0)), jax.tree.leaves(at(9000)))]
    assert any(differ) == made.positional
    if made.positional:
        assert "normalizer" in compatibility.positional(parts_of(normalizer=case.spec, mask="causal"))


@over_rows("normalizer")
def test_debug_nans(name, row):
    """Nothing on the way is NaN, forward or backward, in empty rows and in rows with one key."""
    spec = row.evidence.cases[0].spec
    scores, mask, upstream = problem(spec)
    with jax.debug_nans(True):
        loss = lambda scores: jnp.sum(record(spec).apply(params(spec), scores, jnp.asarray(mask), call()) * upstream)
        assert np.isfinite(jax.grad(loss)(jnp.asarray(scores))).all()


@over_rows("normalizer")
def test_arrays_without_elements(name, row):
    """No examples, heads, queries or keys: weights of their shape."""
    spec = row.evidence.cases[0].spec
    for shape in ((0, N, T, S), (B, N, 0, S), (B, N, T, 0)):
        here, scores = call(*shape[-2:]), jnp.zeros(shape)
        for mask in (None, jnp.ones(shape, bool)):
            weights = record(spec).apply(params(spec), scores, mask, here)
            assert weights.shape == (shape[0], N // record(spec).maps, *shape[2:])


def test_whole_numbers_are_refused():
    """Weights cast back to them would be zeros."""
    with pytest.raises(ValueError, match="floating point numbers are wanted, got int32"):
        unchecked(attention.softmax)(jnp.arange(3))


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
    scores, mask, upstream = problem(spec)
    together, _ = run(spec)(scores, mask, upstream)

    @jit
    def others(scores, mask):
        apply = lambda scores, mask: record(spec).apply(params(spec), scores, mask, call())
        mapped = jax.vmap(lambda s, m: apply(s[None], m[None])[0])(scores, mask)
        narrow = [scores.astype(dtype) for dtype in (jnp.bfloat16, jnp.float16)]
        widened = apply(jnp.concatenate([x.astype(jnp.float32) for x in narrow]), jnp.concatenate([mask, mask]))
        return mapped, apply(scores[1:], mask[1:]), [apply(x, mask).astype(jnp.float32) for x in narrow], widened

    mapped, alone, narrow, widened = others(scores, mask)
    np.testing.assert_allclose(together, mapped, atol=1e-6)
    np.testing.assert_allclose(together[1:], alone, atol=1e-6)
    np.testing.assert_allclose(np.concatenate(narrow), widened, rtol=1e-2, atol=1e-3)


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
def _in_attention(spec, fields, order):
    """Attention to random inputs, or, of order 1, the gradient of a function of it."""
    own, (query, key, value) = {"normalizer": params(spec)}, inputs(B=1, T=12, S=12)
    options = {"normalizer": spec, "mask": "causal" if record(spec).needs_causal else "full"}
    options["call"] = Call(max_length=DIMS.max_length, **dict(fields))
    attend = lambda query: jnp.sin(attention.attend(8 * query, key, value, params=own, **options))
    return jit(jax.grad(lambda query: jnp.sum(attend(query))) if order else attend)(query)


@over_knobs("normalizer")
def test_no_dead_options(knob):
    """Every option changes the parameters, what attention makes of random inputs, or its gradient."""
    fields = tuple(rows("normalizer")[knob.name].evidence.call.items())
    try:
        record(knob.without)
    except ValueError:  # of two options that exclude each other one has to be given
        knob = knob._replace(without=rows("normalizer")[knob.name].spec)
    one, other = (jax.tree.map(jnp.shape, params(spec)) for spec in (knob.without, knob.with_))
    alike = lambda order: np.allclose(*(_in_attention(spec, fields, order) for spec in (knob.without, knob.with_)))
    assert one != other or not (alike(0) and alike(1))
