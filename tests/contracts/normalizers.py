"""What every normalizer must do, one test per promise, run on every row of the table."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import attention
from attention.records import Call
from tests.support.helpers import DIMS, float64, init, jit, normal, size, unchecked
from tests.support.normalizer_rows import BY_SPEC, COUPLED, OFFSET, OTHERWISE, PUBLIC, ROWS, SPECS, G, Z

B, N, T, S = 2, DIMS.num_heads, 5, 7
GOLDEN = [row.spec for row in ROWS if row.golden is not None]
every = pytest.mark.parametrize("spec", SPECS)


@functools.cache
def record(spec):
    return attention.build("normalizer", spec)


@functools.cache
def params(spec):
    return init(record(spec))


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


def reference(spec, scores, mask, own, maps=None):
    maps = maps or BY_SPEC[spec].maps
    broad = np.broadcast_to(mask, scores.shape)
    return np.stack([maps(np.asarray(s, np.float64), m, own) for s, m in zip(scores, broad)])


def test_every_variant_has_a_row():
    assert {row.name for row in ROWS} == set(attention.names("normalizer"))
    assert {row.spec: attention.canonical("normalizer", row.spec) for row in ROWS if "=" not in row.spec} == {
        row.spec: row.spec for row in ROWS if "=" not in row.spec
    }


# Two witnesses: numbers computed apart from this project, and the formula in NumPy float64.


@pytest.mark.parametrize("spec", GOLDEN)
def test_golden_values(spec):
    """Without jit, too: what is compiled elsewhere is the same."""
    (weights, options), gradient = BY_SPEC[spec].golden, BY_SPEC[spec].gradient
    function = functools.partial(getattr(attention, BY_SPEC[spec].name), **options)
    np.testing.assert_allclose(function(jnp.asarray(Z, jnp.float32)), weights, atol=1e-6)
    if gradient is not None:
        found = jit(jax.grad(lambda z: jnp.sum(function(z) * G)))(jnp.asarray(Z, jnp.float32))
        np.testing.assert_allclose(found, gradient, atol=1e-5)


@every
def test_reference(spec):
    scores, mask, upstream = problem(spec)
    weights, _ = run(spec)(scores, mask, upstream)
    assert weights.dtype == jnp.float32
    assert weights.shape == (B, N // record(spec).maps, T, S)
    # Above α = 2 a key at the edge of the support is infinitely sensitive, and float32 sees it moved.
    tolerance = 1e-3 if spec == "entmax(alpha=2.5)" else 1e-5
    np.testing.assert_allclose(weights, reference(spec, scores, mask, float64(params(spec)[1])), atol=tolerance)


@every
def test_derivatives(spec):
    """In float64: weights to 1e-10; the gradient of scores and every parameter against finite differences of the reference;
    forward mode against reverse mode; and the second derivative against finite differences of the first."""
    row = BY_SPEC[spec]
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
    np.testing.assert_allclose(weights, reference(spec, scores, mask, exact[1]), atol=1e-10)
    along = sum(np.sum(g * d) for g, d in zip(jax.tree.leaves(gradient), jax.tree.leaves(direction)))
    np.testing.assert_allclose(forward, along, rtol=1e-9)

    def moved(step):
        arrays = jax.tree.map(lambda x, d: x + step * d, (exact, scores), direction)
        return np.sum(reference(spec, arrays[1], mask, arrays[0][1], row.straight) * upstream)

    np.testing.assert_allclose(along, (moved(1e-6) - moved(-1e-6)) / 2e-6, rtol=1e-6, atol=1e-7)
    for found, low, high in zip(*map(jax.tree.leaves, (second, before, after))):
        np.testing.assert_allclose(found, (high - low) / 2e-6, rtol=1e-4, atol=1e-5)


# The contract.


@every
def test_masked_means_zero(spec):
    """No weight, no gradient and no influence; an empty row is zeros, with finite gradients."""
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
@pytest.mark.parametrize("more", [1, 7])
def test_padding_changes_nothing(spec, more):
    """Appending masked keys; and, where queries couple, masked queries."""
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
def test_each_example_alone(spec):
    """What else is in the batch changes nothing, and vmap is the batch."""
    scores, mask, _ = problem(spec)
    apply = lambda scores, mask: record(spec).apply(params(spec), scores, mask, call())
    together, mapped = jit(lambda s, m: (apply(s, m), jax.vmap(lambda s, m: apply(s[None], m[None])[0])(s, m)))(scores, mask)
    np.testing.assert_allclose(together, mapped, atol=1e-6)
    alone = jit(apply)(scores[1:], mask[1:])
    np.testing.assert_allclose(together[1:], alone, atol=1e-6)


@every
def test_order_of_keys(spec):
    """Keys that change places take their weights along, except where the order is what counts."""
    scores, _, upstream = problem(spec)
    scores = np.asarray(normal(1, *scores.shape, scale=2.0))  # without ties
    everything = np.ones((B, 1, T, S), bool)
    weights, _ = run(spec)(scores, everything, upstream)
    turned, _ = run(spec)(scores[..., ::-1], everything, upstream)
    assert np.allclose(turned[..., ::-1], weights, atol=1e-6) != BY_SPEC[spec].order


@every
def test_low_precision(spec):
    """Computed in float32 whatever comes in."""
    scores, mask, _ = problem(spec)
    apply = jit(lambda scores: record(spec).apply(params(spec), scores, jnp.asarray(mask), call()))
    for dtype in (jnp.bfloat16, jnp.float16):
        narrow = jnp.asarray(scores, dtype)
        np.testing.assert_allclose(apply(narrow).astype(jnp.float32), apply(narrow.astype(jnp.float32)), rtol=1e-2, atol=1e-3)


@every
def test_one_key(spec):
    """A row of length 1 is no special case."""
    one = record(spec).apply(params(spec), jnp.full((1, N, 1, 1), 0.7), None, call(1, 1, offset=1))
    masked = record(spec).apply(params(spec), jnp.full((1, N, 1, 1), 0.7), jnp.zeros((1, 1, 1, 1), bool), call(1, 1, offset=1))
    if record(spec).row_sum == "one" and "remainder" not in spec:
        np.testing.assert_allclose(one, 1.0, rtol=1e-6)
    assert np.isfinite(one).all()
    np.testing.assert_array_equal(masked, 0)


@every
def test_parameters(spec):
    """Their number by formula, and nothing for what the layers share."""
    assert record(spec).init(jax.random.key(0), DIMS) == {}
    assert size(params(spec)) == BY_SPEC[spec].count


# Public functions.


def public(name):
    function = functools.partial(unchecked(getattr(attention, name)), **PUBLIC[name])
    if name == "differential":
        return lambda scores, *rest, **options: function(scores, -scores, *rest, **options)
    return function


def test_every_public_function_is_here():
    assert set(PUBLIC) | OTHERWISE == set(attention.names("normalizer"))


@pytest.mark.parametrize("name", sorted(set(PUBLIC) - set(COUPLED)))
def test_any_axis(name):
    scores, where = normal(0, 3, 5, 4), np.random.default_rng(0).random((3, 5, 4)) > 0.3
    function = public(name)
    last = jit(function)
    for axis in (0, -2):
        moved = jnp.moveaxis(last(jnp.moveaxis(scores, axis, -1), jnp.moveaxis(where, axis, -1)), -1, axis)
        found = jit(functools.partial(function, axis=axis))
        np.testing.assert_allclose(found(scores, where), moved, atol=1e-6)
        wide = jnp.broadcast_to(where[0], where.shape)
        np.testing.assert_allclose(found(scores, where[0]), found(scores, wide), atol=1e-6)


@pytest.mark.parametrize("name", COUPLED)
def test_any_two_axes(name):
    scores, where = normal(0, 3, 5, 4), np.random.default_rng(0).random((3, 5, 4)) > 0.3
    moved = public(name)(jnp.moveaxis(scores, (0, 1), (-1, -2)), jnp.moveaxis(where, (0, 1), (-1, -2)))
    found = public(name)(scores, jnp.asarray(where), axis=0, query_axis=1)
    np.testing.assert_allclose(found, jnp.moveaxis(moved, (-1, -2), (0, 1)), atol=1e-6)


@pytest.mark.parametrize("name", PUBLIC)
def test_no_mask_is_a_full_one(name):
    scores = normal(1, 4, 9)
    run = jit(public(name))
    np.testing.assert_allclose(run(scores), run(scores, jnp.ones((4, 9), bool)), atol=1e-7)
    assert run(scores.astype(jnp.bfloat16)).dtype == jnp.bfloat16


@pytest.mark.parametrize("name", PUBLIC)
def test_bad_masks(name):
    scores = jnp.ones((2, 3))
    with pytest.raises(ValueError, match=r"boolean .* got dtype int32"):
        public(name)(scores, jnp.ones((2, 3), jnp.int32))
    for shape in [(3, 3), (2, 2), (1, 2, 3), (3, 1)]:
        with pytest.raises(ValueError, match="does not broadcast to scores"):
            public(name)(scores, jnp.ones(shape, bool))


@pytest.mark.parametrize("name", PUBLIC)
def test_nan_is_seen(name):
    """A NaN score makes its own weight NaN, and leaves other rows alone where they do not couple."""
    scores = jnp.asarray(np.tile(Z, (2, 1)), jnp.float32).at[0, 1].set(jnp.nan)
    weights = np.asarray(jit(public(name))(scores))
    assert np.isnan(weights[0, 1])
    assert name in COUPLED or np.isfinite(weights[1]).all()


@pytest.mark.parametrize("name", PUBLIC)
def test_documentation(name):
    """Arguments, what is returned, errors, NaN, second derivatives, an example and the source."""
    text = " ".join(getattr(attention, name).__doc__.split())
    for section in ("Args:", "Returns:", "Raises:", "Example:", "Source:", "econd order", "NaN", "``[..., S]``"):
        assert section in text, section
