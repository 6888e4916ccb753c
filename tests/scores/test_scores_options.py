import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import attention
from attention.training.optimization import decayed
from attention.records import Call
from tests.support.helpers import assert_close, init, jit, normal, params_of, size, unchecked
from tests.support.scores import DIMS, ROWS, H, L, scores_of

# Tables of positions.

TABLES = [name for name, (spec, _, _) in ROWS.items() if attention.build("score", spec).max_length is not None]


def test_which_scores_have_a_longest_sequence():
    assert TABLES == ["location", "synthesizer_dense", "synthesizer_random"]
    assert {attention.build("score", ROWS[name][0]).max_length for name in TABLES} == {"dims"}


@pytest.mark.parametrize("name", TABLES)
def test_positions_past_the_table(name):
    """An error where they are known, else NaN for that key (or query) alone; if it is masked, no NaN in any gradient."""
    record = attention.build("score", ROWS[name][0])
    params, query, key = init(record, DIMS), normal(1, 1, 3, 2, H), normal(2, 1, 3, 2, H)
    for outside in (L, -1):
        positions = jnp.array([0, outside, 1])
        with pytest.raises(ValueError, match=f"the score has 5 positions, got position {outside}"):
            scores_of(record, params, query, key, k_positions=positions)
        scores = jit(lambda p: scores_of(record, params, query, key, k_positions=p))(positions)
        np.testing.assert_array_equal(np.isnan(scores), np.broadcast_to([False, True, False], scores.shape))
    with pytest.raises(ValueError, match="the score has 5 positions, got a sequence of 6"):
        jit(lambda key: scores_of(record, params, query, key))(normal(0, 1, 6, 2, H))

    def loss(params, query, positions):
        call = Call(k_positions=positions, k_valid=jnp.array([[True, False, True]]))
        return jnp.sum(attention.attend(query, key, key, score=record, params={"score": params}, call=call) ** 2)

    gradients = jit(jax.grad(loss, (0, 1)))
    past, within = (gradients(params, query, jnp.array([[0, p, 1]])) for p in (L, 2))
    assert_close(past, within)


def test_queries_past_a_random_table():
    record = attention.build("score", "synthesizer(form=random)")
    params, query = init(record, DIMS), normal(1, 1, 3, 2, H)
    scores = jit(lambda p: scores_of(record, params, query, query, q_positions=p))(jnp.array([0, 1, 7]))
    np.testing.assert_array_equal(np.isnan(scores[0, 0]).all(-1), [False, False, True])
    with pytest.raises(ValueError, match="got a sequence of 6"):
        scores_of(record, params, normal(0, 1, 6, 2, H), query)


@pytest.mark.parametrize("name", TABLES)
def test_positions_count_from_zero(name):
    record = attention.build("score", ROWS[name][0])
    params, query, key = init(record, DIMS), normal(1, 2, 4, 2, H), normal(2, 2, 5, 2, H)
    given = {"q_positions": jnp.arange(4), "k_positions": jnp.tile(jnp.arange(5), (2, 1))}
    np.testing.assert_array_equal(scores_of(record, params, query, key), scores_of(record, params, query, key, **given))
    with pytest.raises(ValueError, match=r"needs Dims.max_length"):
        record.init(jax.random.key(0), DIMS._replace(layer=0, max_length=None))


def test_fixed_random_synthesizer():
    """The scores of the trainable one, drawn at the start from the same key; no gradient, and nothing that decays."""
    fixed, trained = (attention.build("score", f"synthesizer(form=random, trainable={x})") for x in (False, True))
    made = [({}, record.init(jax.random.key(3), DIMS._replace(layer=0))) for record in (fixed, trained)]
    query = normal(0, 2, L, 2, H)
    scores = [jit(lambda p: scores_of(record, p, query, query))(p) for record, p in zip((fixed, trained), made)]  # noqa: B023
    np.testing.assert_array_equal(*scores)
    assert abs(float(scores[0][0].std()) - 1) < 0.25
    gradient = jit(jax.grad(lambda p: jnp.sum(scores_of(fixed, p, query, query) ** 2)))(made[0])
    assert size(gradient) == 2 * L * L
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(gradient))
    assert not any(jax.tree.leaves(decayed({"score_0": made[0][1]})))
    assert fixed.uses == ()
    assert fixed.max_length == "dims"


# Starts and options.


def test_starts():
    """Biases 0, gains as documented, Xavier matrices: uniform within √(6 / (in + out)), up to that bound."""
    wide = DIMS._replace(layer=0, head_dim=40, max_length=50)
    start = lambda spec: attention.build("score", spec).init(jax.random.key(0), wide)
    np.testing.assert_array_equal(start("scaled_dot(learned_scale=True)")["gain"], [1.0, 1.0])
    np.testing.assert_allclose(start("additive_norm(hidden=16)")["gain"], [0.25, 0.25])
    np.testing.assert_array_equal(start("cosine(gain=2)")["gain"], [2.0, 2.0])
    for spec, name, sizes in [
        ("general", "kernel", 80), ("low_rank(rank=8)", "query", 48), ("low_rank(rank=8)", "key", 48),
        ("additive(hidden=16)", "query", 56), ("additive(hidden=16)", "key", 56), ("additive(hidden=16)", "vector", 17),
        ("additive_norm", "vector", 41), ("concat(hidden=16)", "kernel", 96), ("concat(hidden=16)", "vector", 17),
        ("linear", "weight", 81), ("trilinear", "weight", 121), ("activated", "kernel", 80), ("activated", "weight", 81),
        ("location", "table", 90), ("synthesizer", "table", 90),
    ]:  # fmt: skip
        largest = float(jnp.abs(start(spec)[name]).max())
        assert 0.85 < largest / math.sqrt(6 / sizes) <= 1.0, (spec, name)
    for spec in ("additive", "additive_norm", "general(bias=True)", "linear", "activated", "synthesizer"):
        np.testing.assert_array_equal(start(spec)["bias"], 0.0)


def test_options():
    """Every option of every build changes the scores or the parameters."""
    shapes = lambda spec: jax.tree.map(
        jnp.shape, attention.build("score", spec).init(jax.random.key(0), DIMS._replace(layer=0))
    )
    whole = {"query": (2, H, H), "key": (2, H, H), "vector": (2, H), "bias": (2, H)}
    assert shapes("additive") == whole
    assert shapes("additive_norm") == whole | {"gain": (2,)}
    assert shapes("concat") == {"kernel": (2, 2 * H, H), "vector": (2, H)}
    assert shapes("low_rank") == {"query": (2, H, 8), "key": (2, H, 8)}
    assert "bias" not in shapes("additive(bias=False)")
    np.testing.assert_allclose(attention.scaled_dot_scores(jnp.ones((1, 1, 4)), jnp.ones((1, 1, 4)), terms=4), [[[1.0]]])
    np.testing.assert_allclose(attention.l2_scores(jnp.zeros((1, 1, 4)), jnp.ones((1, 1, 4)), terms=4), [[[-1.0]]])
    np.testing.assert_allclose(attention.dot_scores(jnp.ones((1, 1, 4)), jnp.ones((1, 1, 4)), scale=0.5), [[[2.0]]])


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("additive(hidden=0)", "hidden must be None or >= 1, got 0"),
        ("additive_norm(hidden=-1)", "hidden must be None or >= 1, got -1"),
        ("concat(hidden=0)", "hidden must be None or >= 1, got 0"),
        ("concat(bias=True)", "unknown option 'bias'; options of concat: hidden=None"),
        ("cosine(gain=0)", "gain must be a finite number > 0, got 0.0"),
        ("cosine(gain=-1)", "gain"),
        ("low_rank(rank=0)", "rank must be >= 1, got 0"),
        ("low_rank(rank=1.5)", "option 'rank' wants a whole number, got 1.5"),
        ("general(bias=1)", "option 'bias' wants True or False, got 1"),
        ("scaled_dot(learned_scale=2)", "option 'learned_scale' wants True or False, got 2"),
        ("activated(activation=gelu)", "option 'activation' wants one of 'sigmoid', 'tanh', 'relu'.*, got 'gelu'"),
        ("synthesizer(form=randm)", r"option 'form' wants one of 'dense', 'random' \(nearest: 'random'\), got 'randm'"),
        ("synthesizer(trainable=False)", "trainable=False is for form='random', got form='dense'"),
        ("bilinear", r"unknown score 'bilinear' \(nearest: '\w*linear'\); known: activated, additive"),
    ],
)
def test_bad_options(spec, message):
    with pytest.raises(ValueError, match=message) as caught:
        attention.build("score", spec)
    assert "\n" not in str(caught.value)


def test_bad_activation():
    one = jnp.ones((1, 1, 1))
    with pytest.raises(ValueError, match=r"activation must be one of sigmoid, tanh, relu .nearest: 'tanh'., got 'tan'"):
        unchecked(attention.activated_scores)(one, one, one, jnp.ones((1, 2)), activation="tan")


def test_rotation_of_an_odd_rank():
    x = normal(0, 3, 1, 4)
    params = params_of(score="low_rank(rank=3)", dims=DIMS._replace(num_heads=1, head_dim=4))
    with pytest.raises(ValueError, match=r"rope turns pairs of channels: fraction 1\.0 of 3 is 3"):
        attention.attend(x, x, x, score="low_rank(rank=3)", encoding="rope", params=params)
