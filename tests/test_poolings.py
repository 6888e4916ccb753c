import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
from helpers import DIMS, float64, jit, normal, size, spread_out

import attention
from attention.records import Call, Pooled

D, A = 6, 5
DIMS = DIMS._replace(model_dim=D)
# One row per variant: spec, its reference of (states [T D], valid [T], parameters) and its number of parameters.
ROWS = {
    "mean": ("mean", lambda x, valid, params: reference.mean_pool(x, valid), 0),
    "max": ("max", lambda x, valid, params: reference.max_pool(x, valid), 0),
    "last": ("last", lambda x, valid, params: x[np.flatnonzero(valid)[-1]], 0),
    "cls": ("cls", lambda x, valid, params: x[0], 0),
    "additive": (
        f"additive(hidden={A})",
        lambda x, valid, params: reference.additive_pool(x, valid, params["kernel"], params["bias"], params["vector"])[0],
        D * A + 2 * A,
    ),
}


def test_every_variant_has_a_row():
    assert set(ROWS) == set(attention.names("pooling"))


def _params(record):
    return spread_out(record.init(jax.random.key(0), DIMS))


def _run(record):
    """Pooled vector, weights, and the gradient of its squares with respect to the states and the parameters."""

    def run(x, params, valid):
        def loss(x, params):
            pooled = record.apply(params, x, Call(q_valid=valid))
            return jnp.sum(pooled.x.astype(jnp.float32) ** 2), pooled

        (_, pooled), gradient = jax.value_and_grad(loss, (0, 1), has_aux=True)(x, params)
        return pooled, gradient

    return jit(run)


@pytest.mark.parametrize("name", ROWS)
def test_reference(name):
    spec, row, count = ROWS[name]
    record = attention.build("pooling", spec)
    params, x = _params(record), normal(1, 3, 5, D)
    valid = jnp.array([[True] * 5, [True, False, True, True, False], [True] + [False] * 4])
    pooled, (dx, dparams) = _run(record)(x, params, valid)
    assert isinstance(pooled, Pooled)
    assert pooled.x.shape == (3, record.width(D))
    wanted = np.stack([row(*each, float64(params)) for each in zip(float64(x), np.asarray(valid))])
    np.testing.assert_allclose(pooled.x, wanted, atol=1e-5)
    np.testing.assert_array_equal(dx[~valid], 0)
    assert size(params) == count
    assert all(np.abs(gradient).min() > 1e-6 for gradient in jax.tree.leaves(dparams))
    everything = record.apply(params, x, Call())
    np.testing.assert_allclose(everything.x, _run(record)(x, params, jnp.ones((3, 5), bool))[0].x, atol=1e-6)
    if pooled.weights is not None:
        np.testing.assert_allclose(pooled.weights.sum(-1), 1, atol=1e-6)
        np.testing.assert_array_equal(pooled.weights[~valid], 0)
        np.testing.assert_allclose(jnp.einsum("bt,btd->bd", pooled.weights, x), pooled.x, atol=1e-5)
    # An independent gradient: the reference moved along a random direction.
    direction = np.random.default_rng(0).normal(size=x.shape)
    moved = lambda step: [row(*each, float64(params)) for each in zip(float64(x) + step * direction, np.asarray(valid))]
    difference = (np.sum(np.square(moved(1e-6))) - np.sum(np.square(moved(-1e-6)))) / 2e-6
    np.testing.assert_allclose(np.sum(np.asarray(dx) * direction), difference, rtol=1e-4)


@pytest.mark.parametrize("name", ROWS)
def test_padding_and_empty(name):
    """Padding changes neither value nor gradient, whatever it holds; an empty sequence gives zeros and zero gradients."""
    record = attention.build("pooling", ROWS[name][0])
    params, x, valid = _params(record), normal(1, 2, 4, D), jnp.array([[True] * 4, [True, True, False, False]])
    run = _run(record)
    plain, (dx, dparams) = run(x, params, valid)
    for p in (1, 7):
        filler = 1e3 * normal(p, 2, p, D)
        padded, (dx_padded, dparams_padded) = run(jnp.concatenate([x, filler], 1), params, jnp.pad(valid, ((0, 0), (0, p))))
        np.testing.assert_allclose(padded.x, plain.x, atol=1e-5)
        np.testing.assert_allclose(dx_padded[:, :4], dx, atol=1e-5)
        np.testing.assert_array_equal(dx_padded[:, 4:], 0)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), dparams_padded, dparams)
    if record.extra_tokens:
        return  # a sequence with a token of its own is never empty
    with jax.debug_nans(True):
        empty, gradient = jax.block_until_ready(run(x, params, jnp.zeros((2, 4), bool)))
    np.testing.assert_array_equal(empty.x, 0)
    jax.tree.map(lambda g: np.testing.assert_array_equal(g, 0), gradient)


@pytest.mark.parametrize("name", ROWS)
def test_low_precision_and_one_token(name):
    record = attention.build("pooling", ROWS[name][0])
    params, x, valid = _params(record), normal(1, 1, 5, D), jnp.ones((1, 5), bool)
    run = _run(record)
    narrow = run(x.astype(jnp.bfloat16), params, valid)[0].x
    assert narrow.dtype == jnp.bfloat16
    np.testing.assert_allclose(narrow.astype(jnp.float32), run(x, params, valid)[0].x, atol=3e-2)
    np.testing.assert_allclose(run(x[:, :1], params, valid[:, :1])[0].x, x[:, 0], atol=1e-6)


def test_max_shares_the_gradient_of_ties():
    """As its documentation says."""
    gradient = jax.grad(lambda x: jnp.sum(attention.max_pool(x, jnp.array([True] * 3))))(jnp.array([[2.0], [2.0], [1.0]]))
    np.testing.assert_array_equal(gradient, [[0.5], [0.5], [0.0]])
    assert "share the gradient" in inspect.getdoc(attention.max_pool)


def test_mean_of_many_in_low_precision():
    """Summed in float32: 1000 ones in bfloat16 would stop at 256."""
    ones = jnp.ones((1000, 1), jnp.bfloat16)
    np.testing.assert_array_equal(attention.mean_pool(ones, jnp.ones(1000, bool)), [1.0])


def test_additive_is_a_mean_where_it_starts_blind():
    """With v = 0 every position weighs the same."""
    x, valid = normal(0, 4, D), jnp.array([True, True, True, False])
    pooled, _ = attention.additive_pool(x, normal(1, D, A), jnp.zeros(A), jnp.zeros(A), valid)
    np.testing.assert_allclose(pooled, attention.mean_pool(x, valid), atol=1e-6)


def test_options_and_facts():
    assert {name: attention.build("pooling", name).extra_tokens for name in ROWS} == {
        "mean": 0,
        "max": 0,
        "last": 0,
        "cls": 1,
        "additive": 0,
    }
    with pytest.raises(ValueError, match="hidden must be >= 1, got 0"):
        attention.build("pooling", "additive(hidden=0)")
