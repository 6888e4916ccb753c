"""Numbers that others published, and what scores have to be of each other."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.distance import cdist

import attention
from attention.encodings.rope import rope
from attention.records import Call
from tests.support.helpers import assert_close, init, jit, normal
from tests.support.scores import DIMS, ROWS, H, L, scores_of

# allennlp/tests/modules/attention/additive_attention_test.py
ADDITIVE = {
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


def _one_head(*arrays):
    """Vectors ``[T H]`` as queries or keys ``[T 1 H]``."""
    return tuple(jnp.asarray(array, jnp.float32)[:, None] for array in arrays)


@pytest.mark.parametrize("score", ["additive", "concat"])
def test_additive_published(score):
    """concat has the numbers of additive attention with its matrices one above the other: the paper's W [q; k]."""
    W, U, v = (jnp.asarray(ADDITIVE[name], jnp.float32) for name in "WUv")
    for q, keys, wanted in ADDITIVE["rows"]:
        query, key = _one_head([q], keys)
        if score == "additive":
            found = attention.additive_scores(query @ W, key @ U, v[None])
        else:
            found = attention.concat_scores(query, key, jnp.concatenate([W, U])[None], v[None])
        np.testing.assert_allclose(found[0, 0], wanted, atol=1e-6)


def test_additive_with_unit_weights_published():
    """keras, additive_attention_test.py: tanh of the sum, softmax, and the weighted values."""
    query, key = _one_head(np.eye(2), [[0.0, 1.0], [1.0, 0.0]])
    weights = attention.softmax(attention.additive_scores(query, key, jnp.ones((1, 2))))[0]
    np.testing.assert_allclose(weights, [[0.636, 0.363], [0.363, 0.636]], atol=1e-3)
    np.testing.assert_allclose(weights @ jnp.array([[1.0, 2.0], [3.0, 4.0]]), [[1.727, 2.727], [2.272, 3.272]], atol=1e-3)


def test_dot_published():
    """keras, attention_test.py."""
    query, key, value = _one_head(np.eye(2), [[0.0, 1.0], [1.0, 0.0]], [[1.0, 2.0], [3.0, 4.0]])
    output, weights = attention.attend(query, key, value, score="dot", return_weights=True)
    np.testing.assert_allclose(weights[0], [[0.269, 0.731], [0.731, 0.269]], atol=1e-3)
    np.testing.assert_allclose(output[:, 0], [[2.462, 3.462], [1.538, 2.538]], atol=1e-3)


def test_bilinear_published():
    """allennlp, bilinear_attention_test.py."""
    query, key = _one_head([[1.0, 1.0]], np.eye(2))
    kernel = jnp.array([[[-0.3, 0.5], [2.0, -1.0]]])
    np.testing.assert_allclose(attention.general_scores(query, key, kernel, 0.1)[0, 0], [1.8, -0.4], atol=1e-6)
    relu = attention.activated_scores(query, key, kernel, jnp.zeros((1, 4)), 0.1, activation="relu")
    np.testing.assert_allclose(relu[0, 0], [1.8, 0.0], atol=1e-6)


def test_cosine_published():
    """allennlp, cosine_attention_test.py; a zero query scores 0, with a finite gradient."""
    query, keys = _one_head([[1.0, 1.0, 1.0]], [[7.0, 8.0, 9.0], [10.0, 11.0, 12.0]])
    np.testing.assert_allclose(attention.cosine_scores(query, keys)[0, 0], [0.9948, 0.9973], atol=1e-4)
    run = jit(jax.value_and_grad(lambda q: jnp.sum(attention.cosine_scores(q, keys))))
    with jax.debug_nans(True):
        value, gradient = run(jnp.zeros((1, 1, 3)))
    assert value == 0
    assert np.isfinite(gradient).all()


def test_linear_published():
    """allennlp, linear_attention_test.py, after the softmax."""
    query, keys = _one_head([[-7.0, -8.0, -9.0]], [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    scores = attention.linear_scores(query, keys, jnp.array([[-0.3, 0.5, 2.0, -1.0, 1.0, 1.0]]), 0.1)
    np.testing.assert_allclose(attention.softmax(scores)[0, 0], [0.0474, 0.9526], atol=1e-4)


def test_trilinear_published():
    """allennlp, linear_attention_test.py, combination x,y,x*y."""
    query, keys = _one_head([[4.0, 5.0]], [[1.0, 2.0], [4.0, 5.0], [7.0, 8.0], [10.0, 11.0]])
    scores = attention.trilinear_scores(query, keys, jnp.array([[-0.3, 0.5, 2.0, -1.0, 1.0, 1.0]]))
    np.testing.assert_allclose(scores[0, 0], [15.3, 45.3, 75.3, 105.3], atol=1e-4)


# What scores are of each other.

QUERY, KEY = normal(1, 2, 3, 2, H), normal(2, 2, 4, 2, H)
W, U, V = normal(3, 2, H, H), normal(4, 2, H, 3), normal(5, 2, H, 3)
VECTOR, WEIGHT = normal(6, 2, 3), normal(7, 2, 3 * H)
EYE = jnp.tile(jnp.eye(H), (2, 1, 1))
LINEAR = jnp.concatenate([WEIGHT[:, :H], WEIGHT[:, H : 2 * H]], -1)
EQUAL = {
    "general with W = I is dot": (lambda q, k: attention.general_scores(q, k, EYE), attention.dot_scores),
    "low rank with U = V = I is dot": (lambda q, k: attention.low_rank_scores(q, k, EYE, EYE), attention.dot_scores),
    "low rank is general with W = UᵀV": (
        lambda q, k: attention.low_rank_scores(q, k, U, V),
        lambda q, k: attention.general_scores(q, k, jnp.einsum("nhr,ngr->nhg", U, V)),
    ),
    "concat is additive with W cut in two": (
        lambda q, k: attention.concat_scores(q, k, jnp.concatenate([U, V], 1), VECTOR),
        lambda q, k: attention.additive_scores(jnp.einsum("btnh,nha->btna", q, U), jnp.einsum("bsnh,nha->bsna", k, V), VECTOR),
    ),
    "additive with g = |v| is additive": (
        lambda q, k: attention.additive_norm_scores(q[..., :3], k[..., :3], VECTOR, jnp.linalg.norm(VECTOR, axis=-1)),
        lambda q, k: attention.additive_scores(q[..., :3], k[..., :3], VECTOR),
    ),
    "the length of v is nothing to a normalised one": (
        lambda q, k: attention.additive_norm_scores(q[..., :3], k[..., :3], 7 * VECTOR),
        lambda q, k: attention.additive_norm_scores(q[..., :3], k[..., :3], VECTOR),
    ),
    "trilinear without products is linear": (
        lambda q, k: attention.trilinear_scores(q, k, WEIGHT.at[:, 2 * H :].set(0)),
        lambda q, k: attention.linear_scores(q, k, LINEAR),
    ),
    "trilinear with products alone is a weighted dot": (
        lambda q, k: attention.trilinear_scores(q, k, WEIGHT.at[:, : 2 * H].set(0)),
        lambda q, k: attention.dot_scores(q * WEIGHT[:, 2 * H :], k),
    ),
    "activated is tanh of general + linear": (
        lambda q, k: attention.activated_scores(q, k, W, LINEAR, 0.3, activation="tanh"),
        lambda q, k: jnp.tanh(attention.general_scores(q, k, W) + attention.linear_scores(q, k, LINEAR, 0.3)),
    ),
    "sigmoid is tanh of the half": (
        lambda q, k: attention.activated_scores(q, k, W, LINEAR, 0.3),
        lambda q, k: 0.5 + 0.5 * attention.activated_scores(q, k, W / 2, LINEAR / 2, 0.15, activation="tanh"),
    ),
    "l2 of unit vectors is 2 (cos - 1) / √H": (
        lambda q, k: attention.l2_scores(attention.unit(q), attention.unit(k)),
        lambda q, k: 2 * (attention.cosine_scores(q, k) - 1) / math.sqrt(H),
    ),
    "l2 is scaled dot without the lengths": (
        lambda q, k: attention.l2_scores(q, k) - attention.l2_scores(q, jnp.zeros_like(k)),
        lambda q, k: 2 * attention.scaled_dot_scores(q, k) - jnp.moveaxis((k**2).sum(-1), -1, -2)[..., None, :] / math.sqrt(H),
    ),
    "scaled dot with a gain of √H is dot": (
        lambda q, k: attention.scaled_dot_scores(q, k, jnp.full(2, math.sqrt(H))),
        attention.dot_scores,
    ),
    "location with W = I is the query": (
        lambda q, k: attention.location_scores(q, EYE, jnp.array([3, 0, 5, 1])),
        lambda q, k: jnp.moveaxis(q[..., jnp.array([3, 0, 5, 1])], 2, 1),
    ),
    "location is general, the keys one-hot positions": (
        lambda q, k: attention.location_scores(q, jnp.swapaxes(W, -1, -2), jnp.arange(4)),
        lambda q, k: attention.general_scores(q, jnp.tile(jnp.eye(4, H)[:, None], (2, 1, 2, 1)), W),
    ),
    "a dense synthesizer is the difference of two locations": (
        lambda q, k: attention.dense_synthesizer_scores(q, W, jnp.zeros((2, H)), jnp.arange(4)),
        lambda q, k: 0.5 * sum(attention.location_scores(x, W, jnp.arange(4)) for x in (q, jnp.abs(q))),
    ),
}


@pytest.mark.parametrize("law", EQUAL)
def test_laws(law):
    """In value and in the gradient of query and key."""
    both = EQUAL[law]
    upstream = normal(9, 2, 2, 3, 4)

    @jit
    def run(query, key):
        return [
            jax.value_and_grad(lambda a: (lambda s: (jnp.sum(s * upstream), s))(f(*a)), has_aux=True)((query, key))  # noqa: B023
            for f in both
        ]

    ours, theirs = run(QUERY, KEY)
    assert_close(ours, theirs, 1e-5)


def test_cosine_is_scale_free_and_bounded():
    run = jit(lambda q, k: attention.cosine_scores(q, k, jnp.array([2.0, 5.0])))
    np.testing.assert_allclose(run(QUERY * 1000, KEY * 0.01), run(QUERY, KEY), atol=1e-5)
    assert (np.abs(run(QUERY, KEY)) <= np.array([2.0, 5.0])[:, None, None]).all()
    itself = run(QUERY, QUERY).diagonal(axis1=-2, axis2=-1)
    np.testing.assert_allclose(itself, np.broadcast_to([[2.0], [5.0]], itself.shape), rtol=1e-5)


def test_sigmoid_scores_make_nearly_a_mean():
    """The largest weight of a softmax is at most e times the smallest, however large query and key are."""
    scores = attention.activated_scores(100 * QUERY, KEY, W, LINEAR)
    weights = attention.softmax(scores)
    ratio = weights.max(-1) / weights.min(-1)
    assert (ratio <= math.e * (1 + 1e-6)).all()
    assert ratio.max() > 2.7


def test_l2_is_scipys():
    with jax.enable_x64(True):
        query, key = (np.random.default_rng(i).normal(size=(7 + i, 1, 5)) for i in range(2))
        wanted = -(cdist(query[:, 0], key[:, 0]) ** 2) / math.sqrt(5)
        np.testing.assert_allclose(attention.l2_scores(jnp.asarray(query), jnp.asarray(key))[0], wanted, atol=1e-12)


@pytest.mark.parametrize("offset", [0.0, 10.0, 1000.0])
def test_l2_error(offset):
    """The documented error, where it is worst: near neighbours far from the origin."""
    query = normal(0, 50, 1, 64) + offset
    key = jnp.concatenate([query, query + normal(1, 50, 1, 64, scale=0.01)])
    exact = cdist(np.float64(query[:, 0]), np.float64(key[:, 0])) ** 2 / 8
    squares = (np.float64(query[:, 0]) ** 2).sum(-1)[:, None] + (np.float64(key[:, 0]) ** 2).sum(-1)
    error = np.abs(np.asarray(jit(attention.l2_scores)(query, key)[0]) + exact)
    assert (error < 1.2e-7 * squares).all()
    assert error.max() > 1e-9 * squares.max()  # it is there


def test_l2_turns_with_rotations():
    """Rotations keep lengths: after rope the distance of turned vectors depends on the distance of positions alone."""
    run = jit(lambda i, j: attention.l2_scores(rope(QUERY, i), rope(KEY, j)))
    here, there = (run(jnp.array([3, 5, 8]) + c, jnp.array([0, 2, 4, 9]) + c) for c in (0, 50))
    np.testing.assert_allclose(here, there, atol=1e-4)
    assert not np.allclose(here, attention.l2_scores(QUERY, KEY), atol=0.1)


@pytest.mark.parametrize("score", ["linear", "synthesizer(form=random)"])
def test_what_does_not_depend_on_the_query(score):
    """Under softmax linear scores, and always random ones, weigh the keys alike for any query."""
    record = attention.build("score", score)
    params = init(record, DIMS)
    call = Call(q_positions=jnp.zeros(3, jnp.int32))
    run = jit(lambda q: attention.attend(q, KEY, KEY, score=record, params={"score": params}, call=call))
    output = run(QUERY)
    np.testing.assert_allclose(output, jnp.broadcast_to(output[:, :1], output.shape), atol=1e-5)
    np.testing.assert_allclose(run(7 - QUERY), output, atol=1e-5)


def test_random_synthesizer_is_its_table():
    record = attention.build("score", "synthesizer(form=random)")
    params = init(record, DIMS)
    x = normal(0, 2, L, 2, H)
    scores = scores_of(record, params, x, x)
    np.testing.assert_array_equal(scores, np.broadcast_to(params[1]["table"], scores.shape))


@pytest.mark.parametrize("name", ROWS)
def test_grouped_keys(name):
    """One key head for two query heads is two equal key heads."""
    spec = ROWS[name][0]
    params = {"score": init(attention.build("score", spec), DIMS)}
    key, value = KEY[:, :, :1], normal(8, 2, 4, 1, H)
    run = lambda key, value: attention.attend(QUERY, key, value, score=spec, params=params)
    twice = lambda x: jnp.repeat(x, 2, axis=2)
    np.testing.assert_allclose(run(key, value), run(twice(key), twice(value)), atol=1e-6)
