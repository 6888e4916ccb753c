"""What every pooling promises: its reference, gradients, padding, order, what a text alone gives, and its place in a model."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import attention
from attention.records import Call, Pooled
from tests.support.helpers import assert_close, float64, init, jit, normal, size
from tests.support.models import D as MODEL_DIM
from tests.support.models import batch, check_training, made, train
from tests.support.poolings import DIMS, D
from tests.support.rows import over_cases, over_knobs, over_rows

every = over_cases("pooling")


def _run(record):
    """What the pooling returns, and the gradient of its squares and its penalty by the states and the parameters."""

    def run(x, params, valid):
        def loss(x, params):
            pooled = record.apply(params, x, Call(q_valid=valid))
            return jnp.sum(pooled.x.astype(jnp.float32) ** 2) + jnp.sum(pooled.loss), pooled

        (_, pooled), gradient = jax.value_and_grad(loss, (0, 1), has_aux=True)(x, params)
        return pooled, gradient

    return jit(run)


@functools.cache
def _made(case):
    """The record, parameters and the compiled function."""
    record = attention.build("pooling", case.spec)
    return record, init(record, DIMS), _run(record)


def _inputs():
    """States of four texts: whole, with gaps, of one token, with padding on the left."""
    holes = [[True] * 5, [True, False, True, True, False], [True] + [False] * 4, [False, False, True, True, True]]
    return normal(1, 4, 5, D), jnp.array(holes)


def _of_reference(case, x, valid, params):
    found = [case.reference(*each, params) for each in zip(float64(x), np.asarray(valid))]
    vectors, weights, losses = zip(*found)
    return np.stack(vectors), None if weights[0] is None else np.stack(weights), np.stack(losses)


@every
def test_reference(case):
    record, params, run = _made(case)
    x, valid = _inputs()
    pooled, _ = run(x, params, valid)
    vectors, weights, losses = _of_reference(case, x, valid, float64(params))
    assert isinstance(pooled, Pooled)
    assert pooled.x.shape == (4, record.width(D))
    np.testing.assert_allclose(pooled.x, vectors, atol=1e-5)
    np.testing.assert_allclose(pooled.loss, losses if losses.any() else 0.0, atol=1e-5)
    assert size(params) == case.count
    assert (pooled.weights is None) == (weights is None)
    if weights is not None:
        assert pooled.weights.dtype == jnp.float32
        np.testing.assert_allclose(pooled.weights, weights, atol=1e-6)
        where = jnp.broadcast_to(valid if weights.ndim == 2 else valid[:, None], weights.shape)
        np.testing.assert_array_equal(pooled.weights[~where], 0)
        if case.whole:
            np.testing.assert_allclose(pooled.weights.sum(-1), 1, atol=1e-6)
        if case.sums:
            total = jnp.einsum("b...t,btd->b...d", pooled.weights, x).reshape(4, -1)
            np.testing.assert_allclose(total, pooled.x, atol=1e-5)


@every
def test_gradient(case):
    """Along a random direction of the states and one of the parameters, that of the reference; at padding exactly zero."""
    record, params, run = _made(case)
    x, valid = _inputs()
    _, (dx, dparams) = run(x, params, valid)
    if not record.extra_tokens:
        np.testing.assert_array_equal(dx[~valid], 0)
    for path, gradient in jax.tree.leaves_with_path(dparams):
        dead = jax.tree_util.keystr(path) in case.dead
        assert np.abs(gradient).max() < 1e-5 if dead else np.abs(gradient).min() > 1e-6, path
    rng = np.random.default_rng(0)
    plain = float64((x, params))
    direction = jax.tree.map(lambda leaf: rng.normal(size=leaf.shape), plain)

    def moved(step, which):
        x, params = (
            jax.tree.map(lambda leaf, d: leaf + step * d, side, way) if i == which else side
            for i, (side, way) in enumerate(zip(plain, direction))
        )
        vectors, _, losses = _of_reference(case, x, valid, params)
        return np.sum(vectors**2) + np.sum(losses)

    for which, gradient in enumerate((dx, dparams)):
        products = jax.tree.map(lambda g, d: np.sum(np.asarray(g, np.float64) * d), gradient, direction[which])
        difference = (moved(1e-6, which) - moved(-1e-6, which)) / 2e-6
        np.testing.assert_allclose(sum(jax.tree.leaves(products)), difference, rtol=1e-4, atol=1e-5)


@every
def test_padding_and_empty(case):
    """Padding on either side changes neither value nor gradient, whatever it holds; an empty sequence gives zeros."""
    record, params, run = _made(case)
    x, valid = normal(1, 2, 4, D), jnp.array([[True] * 4, [True, True, False, False]])
    plain, (dx, dparams) = run(x, params, valid)
    # A token of the pooling's own stands before everything else.
    for left, right, fill in ((0, 1, 1e3), (0, 7, np.nan) if record.extra_tokens else (7, 0, np.nan)):
        sides, inside = ((0, 0), (left, right)), (slice(None), slice(left, left + 4))
        wide = jnp.pad(x, (*sides, (0, 0)), constant_values=fill)
        padded, (dx_padded, dparams_padded) = run(wide, params, jnp.pad(valid, sides))
        found = (padded.x, padded.loss, dx_padded[inside], dparams_padded)
        assert_close(found, (plain.x, plain.loss, dx, dparams), tolerance=1e-5)
        np.testing.assert_array_equal(dx_padded.at[inside].set(0), 0)
    if record.extra_tokens:
        return  # a sequence with a token of its own is never empty
    with jax.debug_nans(True):
        empty, gradient = jax.block_until_ready(run(x, params, jnp.zeros((2, 4), bool)))
    jax.tree.map(lambda a: np.testing.assert_array_equal(a, 0), (empty, gradient))


@every
def test_order(case):
    """The order of the text changes nothing but the order of the weights, or it matters."""
    _, params, run = _made(case)
    x, valid = _inputs()
    order = np.array([[3, 0, 4, 1, 2], [2, 1, 3, 0, 4], [0, 1, 2, 3, 4], [0, 1, 4, 2, 3]])  # text stays text
    take = lambda a: np.take_along_axis(np.asarray(a), order.reshape(4, *(1,) * (a.ndim - 2), 5), -1)
    plain, _ = run(x, params, valid)
    shuffled, _ = run(jnp.asarray(np.moveaxis(take(np.moveaxis(np.asarray(x), -1, 1)), 1, -1)), params, valid)
    assert np.allclose(shuffled.x, plain.x, atol=1e-5) == (not case.ordered)
    if not case.ordered and plain.weights is not None:
        np.testing.assert_allclose(shuffled.weights, take(plain.weights), atol=1e-6)


@every
def test_each_example_alone(case):
    """Nor does the batch matter: its other examples, its axes, having none, or being compiled."""
    record, params, run = _made(case)
    x, valid = _inputs()
    plain, _ = run(x, params, valid)
    whole = jnp.ones((4, 5), bool)
    everything = run(x, params, whole)[0].x

    @jit
    def others(params, x, valid):
        one = lambda b: record.apply(params, x[b], Call(q_valid=valid[b]))
        axes = record.apply(params, x.reshape(2, 2, 5, D), Call(q_valid=valid.reshape(2, 2, 5)))
        return {0: one(0), 3: one(3)}, axes.x, record.apply(params, x, Call()).x

    alone, axes, unmasked = others(params, x, valid)
    for b, found in alone.items():
        assert (found.weights is None) == (plain.weights is None)
        for leaf, wanted in zip(found, plain):
            if leaf is not None:
                np.testing.assert_allclose(leaf, wanted[b] if np.ndim(wanted) else wanted, atol=1e-5)
    np.testing.assert_allclose(axes, plain.x.reshape(2, 2, -1), atol=1e-5)
    np.testing.assert_allclose(unmasked, everything, atol=1e-5)
    np.testing.assert_allclose(record.apply(params, x, Call(q_valid=whole[:1])).x, everything, atol=1e-5)


@every
def test_low_precision_and_one_token(case):
    _, params, run = _made(case)
    x, valid = normal(1, 1, 5, D), jnp.ones((1, 5), bool)
    narrow = run(x.astype(jnp.bfloat16), params, valid)[0]
    assert narrow.x.dtype == jnp.bfloat16
    assert narrow.weights is None or narrow.weights.dtype == jnp.float32
    np.testing.assert_allclose(narrow.x.astype(jnp.float32), run(x, params, valid)[0].x, atol=3e-2)
    if case.single is not None:
        np.testing.assert_allclose(run(x[:, :1], params, valid[:, :1])[0].x[0], case.single(x[0, 0]), atol=1e-6)


@over_knobs("pooling")
def test_no_dead_options(knob):
    """Every option changes the parameters, the vector or the penalty."""
    x, valid = _inputs()

    def outcome(spec):
        record = attention.build("pooling", spec)
        params = init(record, DIMS)
        pooled = record.apply(params, x, Call(q_valid=valid))
        return jax.tree.map(jnp.shape, params), pooled.x, jnp.broadcast_to(pooled.loss, 4)

    (shapes, *found), (other_shapes, *other) = map(outcome, (knob.without, knob.with_))
    assert shapes != other_shapes or not all(map(np.allclose, found, other))


@over_rows("pooling")
def test_facts(name, row):
    assert attention.build("pooling", row.spec).extra_tokens == row.evidence.tokens
    for spec, message in row.evidence.widths.items():
        with pytest.raises(ValueError, match=message):
            attention.build("pooling", spec).init(jax.random.key(0), DIMS._replace(model_dim=7))


@over_rows("pooling")
def test_capture(name, row):
    """What a model keeps: the vector; the weights over positions on the last axis, in front of it rows or heads."""
    encoder = "transformer(layers=1, mlp=2)" if row.evidence.tokens else "embeddings"
    model, params, _ = made(pooling=row.spec, encoder=encoder, encoding="none")
    tokens, valid = batch((6, 3))
    aux = jit(lambda p: model.apply({"params": p}, tokens, valid, capture=True)[1])(params)
    width = model.pooling.width(MODEL_DIM)
    assert aux["pooled"].shape == (2, width)
    assert params["head"]["kernel"].shape[0] == width
    alone = jax.eval_shape(model.pooling.apply, params.get("pooling", {}), normal(0, 2, 6, MODEL_DIM), Call()).weights
    assert (aux["pooling"] is None) == (alone is None)
    if alone is not None:
        assert aux["pooling"].shape == alone.shape
        np.testing.assert_allclose(aux["pooling"].sum(-1), 1, atol=1e-6)
        np.testing.assert_array_equal(aux["pooling"][1, ..., 3:], 0)


@over_rows("pooling")
def test_it_trains(name, row):
    check_training(*train(pooling=row.spec))
