import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
from helpers import DIMS, float64, init, jit, normal, size

import attention
from attention.records import Call

H = 6
DIMS = DIMS._replace(num_heads=2, kv_heads=2, head_dim=H)
# One row per variant, with its reference of (q, k, own parameters of the head) and its number of parameters per layer.
A = 3
ROWS = {
    "dot": ("dot", lambda q, k, own: reference.dot(q, k), 0),
    "scaled_dot": ("scaled_dot", lambda q, k, own: reference.scaled_dot(q, k), 0),
    "cosine": ("cosine(gain=3)", lambda q, k, own: reference.cosine(q, k, own["gain"]), 2),
    "additive": (
        f"additive(hidden={A})",
        lambda q, k, own: reference.additive(q, k, own["query"], own["key"], own["vector"], own["bias"]),
        2 * (2 * H * A + 2 * A),
    ),
}


def test_every_variant_has_a_row():
    assert set(ROWS) == set(attention.names("score"))


def _scores(record, params, query, key):
    call = Call(scale=H**-0.5 if record.scaled else 1.0)
    return record.apply(params, *record.project(params, query, key, call), call)


def _wanted(row, params, query, key):
    own = lambda n: jax.tree.map(lambda leaf: leaf[n], params[1])
    B, T, N, _ = query.shape
    return np.array(
        [[[[row(query[b, t, n], k, own(n)) for k in key[b, :, n]] for t in range(T)] for n in range(N)] for b in range(B)]
    )


@pytest.mark.parametrize("name", ROWS)
def test_reference(name):
    """Value in float32, and in float64 value and the gradient of every input and parameter by finite differences."""
    spec, row, _ = ROWS[name]
    record = attention.build("score", spec)
    arrays = (init(record, DIMS), normal(1, 2, 3, 2, H), normal(2, 2, 4, 2, H))
    scores = jit(lambda *a: _scores(record, *a))(*arrays)
    assert scores.dtype == jnp.float32
    exact = float64(arrays)
    np.testing.assert_allclose(scores, _wanted(row, *exact), atol=1e-5)

    upstream = np.random.default_rng(0).normal(size=scores.shape)
    with jax.enable_x64(True):
        loss = lambda a: jnp.sum(_scores(record, *a) * upstream)
        wide = jax.tree.map(jnp.asarray, exact)
        np.testing.assert_allclose(jit(lambda a: _scores(record, *a))(wide), _wanted(row, *exact), atol=1e-10)
        gradient = float64(jit(jax.grad(loss))(wide))
    # A directional derivative of the reference along a random direction sees every coordinate at once.
    for seed in range(3):
        direction = jax.tree.map(lambda leaf: np.random.default_rng([seed, leaf.size]).normal(size=leaf.shape), exact)  # noqa: B023
        moved = lambda step: jax.tree.map(lambda x, d: x + step * d, exact, direction)  # noqa: B023
        difference = np.sum((_wanted(row, *moved(1e-5)) - _wanted(row, *moved(-1e-5))) * upstream) / 2e-5
        along = sum(np.sum(g * d) for g, d in zip(jax.tree.leaves(gradient), jax.tree.leaves(direction)))
        np.testing.assert_allclose(along, difference, rtol=1e-6)


@pytest.mark.parametrize("name", ROWS)
def test_parameters(name):
    """Their number by formula, and each of them moves the scores."""
    spec, _, count = ROWS[name]
    record = attention.build("score", spec)
    assert record.init(jax.random.key(0), DIMS) == {}
    params = init(record, DIMS)
    assert size(params) == count
    loss = lambda params: jnp.sum(_scores(record, params, normal(1, 1, 3, 2, H), normal(2, 1, 3, 2, H)) ** 2)
    for gradient in jax.tree.leaves(jit(jax.grad(loss))(params)):
        assert (np.abs(gradient) > 1e-4).all()


@pytest.mark.parametrize("name", ROWS)
def test_low_precision(name):
    record = attention.build("score", ROWS[name][0])
    params, query, key = init(record, DIMS), normal(1, 1, 3, 2, H, scale=0.5), normal(2, 1, 3, 2, H, scale=0.5)
    run = jit(lambda *a: _scores(record, *a))
    narrow = run(params, query.astype(jnp.bfloat16), key.astype(jnp.bfloat16))
    assert narrow.dtype == jnp.float32
    np.testing.assert_allclose(narrow, run(params, query, key), atol=2e-2)


@pytest.mark.parametrize("name", ROWS)
def test_dot_product_fact(name):
    """A score that claims to depend on q·k alone keeps its value when query and key turn together; the others do not."""
    record = attention.build("score", ROWS[name][0])
    params, query, key = init(record, DIMS), normal(1, 1, 3, 2, H), normal(2, 1, 3, 2, H)
    turn = jnp.asarray(np.linalg.qr(np.random.default_rng(0).normal(size=(H, H)))[0], jnp.float32)
    call = Call(scale=H**-0.5)

    @jit
    def run(query, key):
        query, key = record.project(params, query, key, call)
        turned = record.apply(params, query @ turn, key @ turn, call) if query.shape[-1] == H else None
        return record.apply(params, query, key, call), turned

    plain, turned = run(query, key)
    assert record.dot_product == (turned is not None and np.allclose(plain, turned, atol=1e-5))


# Published numbers.

# allennlp/tests/modules/attention/additive_attention_test.py
ALLENNLP = {
    "W": [[-0.2, 0.3], [-0.5, 0.5]],
    "U": [[0.0, 1.0], [1.0, 1.0], [1.0, -1.0]],
    "v": [1.0, -1.0],
    "rows": [
        (
            [0.7, -0.8],
            [[1, -1, 3], [0.5, -0.3, 0], [0.2, -1, 1], [0.7, 0.8, -1]],
            [1.975072, -0.04997836, 1.2176098, -0.9205586],
        ),
        (
            [0.4, 0.9],
            [[-2, 3, -3], [0.6, 0.2, 2], [0.5, -0.4, -1], [0.2, 0.2, 0]],
            [-1.4851665, 1.489604, -1.890285, -1.0672251],
        ),
    ],
}


def test_additive_published():
    W, U, v = (jnp.asarray(ALLENNLP[name], jnp.float32) for name in "WUv")
    for q, keys, wanted in ALLENNLP["rows"]:
        query, key = jnp.asarray(q) @ W, jnp.asarray(keys, jnp.float32) @ U
        np.testing.assert_allclose(attention.additive_scores(query[None, None], key[:, None], v[None])[0, 0], wanted, atol=1e-6)


def test_additive_with_unit_weights_published():
    """keras, additive_attention_test.py: tanh of the sum, softmax, and the weighted values."""
    query, key = jnp.eye(2)[:, None], jnp.array([[[0.0, 1.0]], [[1.0, 0.0]]])
    weights = attention.softmax(attention.additive_scores(query, key, jnp.ones((1, 2))))[0]
    np.testing.assert_allclose(weights, [[0.636, 0.363], [0.363, 0.636]], atol=1e-3)
    np.testing.assert_allclose(weights @ jnp.array([[1.0, 2.0], [3.0, 4.0]]), [[1.727, 2.727], [2.272, 3.272]], atol=1e-3)


def test_dot_published():
    """keras, attention_test.py."""
    query, key = jnp.eye(2)[:, None], jnp.array([[[0.0, 1.0]], [[1.0, 0.0]]])
    value = jnp.array([[[1.0, 2.0]], [[3.0, 4.0]]])
    output, weights = attention.attend(query, key, value, score="dot", return_weights=True)
    np.testing.assert_allclose(weights[0], [[0.269, 0.731], [0.731, 0.269]], atol=1e-3)
    np.testing.assert_allclose(output[:, 0], [[2.462, 3.462], [1.538, 2.538]], atol=1e-3)


def test_cosine_published():
    """allennlp, cosine_attention_test.py; a zero query scores 0, with a finite gradient."""
    keys = jnp.array([[[7.0, 8.0, 9.0]], [[10.0, 11.0, 12.0]]])
    run = jit(jax.value_and_grad(lambda q: jnp.sum(attention.cosine_scores(q[None, None], keys))))
    scores = attention.cosine_scores(jnp.ones((1, 1, 3)), keys)
    np.testing.assert_allclose(scores[0, 0], [0.9948, 0.9973], atol=1e-4)
    with jax.debug_nans(True):
        value, gradient = run(jnp.zeros(3))
    assert value == 0
    assert np.isfinite(gradient).all()


def test_cosine_is_scale_free_and_bounded():
    query, key = normal(0, 5, 2, 7), normal(1, 4, 2, 7)
    run = jit(lambda q, k: attention.cosine_scores(q, k, jnp.array([2.0, 5.0])))
    np.testing.assert_allclose(run(query * 1000, key * 0.01), run(query, key), atol=1e-5)
    assert (np.abs(run(query, key)) <= np.array([2.0, 5.0])[:, None, None]).all()
    np.testing.assert_allclose(run(query, query).diagonal(axis1=1, axis2=2), [[2.0] * 5, [5.0] * 5], rtol=1e-5)


def test_additive_holds_no_hidden_axis():
    """T·S per head, never T·S·A, forward and backward."""
    shape = jax.ShapeDtypeStruct((128, 1, 64), jnp.float32)
    loss = lambda q, k: jnp.sum(attention.additive_scores(q, k, jnp.ones((1, 64))) ** 2)
    compiled = jit(jax.grad(loss, (0, 1))).lower(shape, shape).compile()
    assert compiled.memory_analysis().temp_size_in_bytes < 12 * 4 * 128 * 128


def test_options():
    """Every option of every build changes the scores or the parameters."""
    base = attention.build("score", "additive")
    assert jax.tree.map(jnp.shape, base.init(jax.random.key(0), DIMS._replace(layer=0))) == {
        "query": (2, H, H), "key": (2, H, H), "vector": (2, H), "bias": (2, H),
    }  # fmt: skip
    assert "bias" not in attention.build("score", "additive(bias=False)").init(jax.random.key(0), DIMS._replace(layer=0))
    gain = attention.build("score", "cosine(gain=2)").init(jax.random.key(0), DIMS._replace(layer=0))["gain"]
    np.testing.assert_array_equal(gain, [2.0, 2.0])
    np.testing.assert_allclose(attention.scaled_dot_scores(jnp.ones((1, 1, 4)), jnp.ones((1, 1, 4)), terms=4), [[[1.0]]])
    np.testing.assert_allclose(attention.dot_scores(jnp.ones((1, 1, 4)), jnp.ones((1, 1, 4)), scale=0.5), [[[2.0]]])
    for spec, message in [
        ("additive(hidden=0)", "hidden must be None or >= 1, got 0"),
        ("cosine(gain=0)", "gain must be a finite number > 0, got 0.0"),
        ("cosine(gain=-1)", "gain"),
    ]:
        with pytest.raises(ValueError, match=message):
            attention.build("score", spec)
