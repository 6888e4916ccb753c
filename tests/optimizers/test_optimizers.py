import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from attention.training import optimization as optimizers

ETA, DECAY = 0.1, 0.3


def _run(spec, gradients, start, *, decays=True):
    """The weights after each update, by the code under test."""
    direction = optimizers.direction(spec)
    w = jnp.asarray(start, jnp.float32)
    state, path = direction.init(w), []
    for g in gradients:
        move, state = direction.update(jnp.asarray(g, jnp.float32), state, w)
        w = optimizers.apply(w, move, decays, learning_rate=ETA, weight_decay=DECAY)
        path.append(np.asarray(w))
    return path


def _adamw(gradients, w, b1=0.9, b2=0.999, eps=1e-8):
    m = v = np.zeros_like(w)
    for t, g in enumerate(gradients, start=1):
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
        w = w - ETA * ((m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t)) + eps) + DECAY * w)
    return w


def _sgd(gradients, w, momentum=0.9, nesterov=False):
    trace = np.zeros_like(w)
    for g in gradients:
        trace = momentum * trace + g
        w = w - ETA * ((momentum * trace + g if nesterov else trace) + DECAY * w)
    return w


def _lion(gradients, w, b1=0.9, b2=0.99):
    m = np.zeros_like(w)
    for g in gradients:
        w = w - ETA * (np.sign(b1 * m + (1 - b1) * g) + DECAY * w)
        m = b2 * m + (1 - b2) * g
    return w


@pytest.mark.parametrize(
    ("spec", "reference"),
    [
        ("adamw", _adamw),
        ("adamw(b1=0.5, b2=0.9, eps=0.1)", lambda g, w: _adamw(g, w, 0.5, 0.9, 0.1)),
        ("sgd", _sgd),
        ("sgd(momentum=0.5)", lambda g, w: _sgd(g, w, 0.5)),
        ("sgd(nesterov=True)", lambda g, w: _sgd(g, w, nesterov=True)),
        ("lion", _lion),
        ("lion(b1=0.5, b2=0.7)", lambda g, w: _lion(g, w, 0.5, 0.7)),
    ],
)
def test_updates_are_those_of_numpy(spec, reference):
    rng = np.random.default_rng(0)
    gradients, start = rng.normal(size=(6, 3, 4)), rng.normal(size=(3, 4))
    found = _run(spec, gradients, start)[-1]
    np.testing.assert_allclose(found, reference(gradients, start), rtol=2e-4)  # 1 - 0.999^t in float32


def test_first_step_of_adamw_by_hand():
    # m_hat / sqrt(v_hat) is the sign of the gradient: 2 - 0.1 (1 + 0.3 * 2) and -4 - 0.1 (-1 + 0.3 * -4)
    (found,) = _run("adamw", [[0.5, -7.0]], [2.0, -4.0])
    np.testing.assert_allclose(found, [1.84, -3.78], rtol=1e-6)


def test_first_step_of_adafactor_by_hand():
    # Its second moment is that of the gradient alone at first, so the step is the sign (root mean square 1, not
    # clipped), times the root mean square of the weights, 5; decay is that of all others: 7 - 0.1 (5 + 0.3 * 7).
    (found,) = _run("adafactor", [[0.5, -2.0]], [7.0, 1.0])
    np.testing.assert_allclose(found, [7 - 0.1 * (5 + 2.1), 1 - 0.1 * (-5 + 0.3)], rtol=1e-5)


def test_adafactor_factors_from_the_size_given():
    w = jnp.ones((8, 8))
    sizes = [
        sum(leaf.size for leaf in jax.tree.leaves(optimizers.direction(f"adafactor(factor_from={n})").init(w))) for n in (8, 9)
    ]
    assert sizes[0] < 64 < sizes[1]


@pytest.mark.parametrize("spec", ["adamw", "sgd", "lion", "adafactor"])
def test_without_gradient_weights_decay_geometrically(spec):
    path = _run(spec, np.zeros((3, 2, 2)), np.full((2, 2), 8.0))
    np.testing.assert_allclose(path[-1], np.full((2, 2), 8.0 * (1 - ETA * DECAY) ** 3), rtol=1e-6)


def test_decay_spares_vectors_biases_and_frozen_embeddings():
    params = {
        "embedding": {"table": jnp.ones((3, 2))},
        "block": {"kernel": jnp.ones((2, 2)), "bias": jnp.ones((2, 2)), "scale": jnp.ones(2)},
    }
    assert optimizers.decayed(params) == {
        "embedding": {"table": True},
        "block": {"kernel": True, "bias": False, "scale": False},
    }
    assert optimizers.decayed(params, frozen_embeddings=True)["embedding"] == {"table": False}


def test_schedules_by_hand():
    at = {name: optimizers.schedule(name, steps=12, warmup=4) for name in ("constant", "linear", "cosine")}
    for factor in at.values():
        assert [float(factor(t)) for t in range(4)] == [0.25, 0.5, 0.75, 1.0]
        assert float(factor(4)) == 1.0
    assert float(at["constant"](11)) == 1.0
    assert float(at["linear"](8)) == 0.5
    assert float(at["linear"](11)) == pytest.approx(1 / 8)
    assert float(at["cosine"](6)) == pytest.approx((1 + math.cos(math.pi / 4)) / 2)
    assert float(at["cosine"](8)) == pytest.approx(0.5)
    assert float(at["cosine"](11)) > 0
    assert float(optimizers.schedule("linear", steps=2, warmup=0)(jnp.int32(0))) == 1.0


def test_clipping_scales_to_the_limit_and_not_below():
    gradients = {"a": jnp.array([3.0]), "b": jnp.array([[4.0]])}
    norm = optax.tree.norm(gradients)
    assert float(norm) == 5.0
    np.testing.assert_allclose(optimizers.clip(gradients, norm, 2.5)["b"], [[2.0]], rtol=1e-6)
    assert float(optimizers.clip(gradients, norm, 6.0)["b"][0, 0]) == 4.0
    zero = {"a": jnp.zeros(1)}
    assert float(optimizers.clip(zero, optax.tree.norm(zero), 1.0)["a"][0]) == 0.0


def test_moving_average_by_hand():
    # decays min(0.5, 1/10), min(0.5, 2/11), ..., then 0.5 from t = 8 on
    average, reference = jnp.float32(1.0), 1.0
    for t in range(12):
        average = optimizers.moving_average(average, jnp.float32(t), 0.5, jnp.int32(t))
        d = min(0.5, (1 + t) / (10 + t))
        reference = d * reference + (1 - d) * t
        assert float(average) == pytest.approx(reference, rel=1e-6)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("adam", r"unknown optimizer 'adam' \(nearest: 'adamw'\); known: adamw, sgd, lion, adafactor"),
        ("sgd(moment=0.9)", r"unknown option 'moment' \(nearest: 'momentum'\); options: momentum=0.9, nesterov=False"),
        ("sgd(nesterov=1)", "option 'nesterov' wants bool, got 1"),
        ("sgd(momentum=True)", "option 'momentum' wants float, got True"),
        ("lion(b1=1.0)", r"b1 wants a number in \[0, 1\), got 1"),
        ("adamw(eps=0)", "eps wants a number above 0, got 0"),
    ],
)
def test_bad_optimizers_are_named(spec, message):
    with pytest.raises(ValueError, match=message):
        optimizers.direction(spec)
