"""Optimizers against their formulas in NumPy float64, by properties of their own, and as specs."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from attention import specs
from attention.optimizers import optax as others
from attention.optimizers._optimizer import decayed, schedule
from attention.training import config
from attention.training.cohort import update

ETA, DECAY = 0.1, 0.3


def _path(spec, gradients, start, *, eta=ETA, decay=DECAY, decays=True):
    """The weights after each update, and the last state."""
    optimizer = specs.build("optimizer", spec)
    w = jnp.asarray(start, jnp.float32)
    state, path = optimizer.make(eta, decay, decays).init(w), []

    @jax.jit  # the rate and the decay are traced, as in a cohort
    def step(g, state, w, eta, decay):
        moves, state = optimizer.make(eta, decay, decays).update(g, state, w)
        return optax.apply_updates(w, moves), state

    for g in gradients:
        w, state = step(jnp.asarray(g, jnp.float32), state, w, eta, decay)
        path.append(np.asarray(w))
    return path, state


def _run(spec, gradients, start, **options):
    return _path(spec, gradients, start, **options)[0]


# ---- the first witness: the formulas of the papers in float64


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


def _adafactor(gradients, w, decay_rate=0.8, clip=1.0, factored=False):
    """Algorithm 4 of Shazeer & Stern; the second moment begins with the first gradient, as t^-c is 1 then."""
    rms = lambda x: np.sqrt(np.mean(x * x))
    v, rows, columns = np.zeros_like(w), np.zeros(w.shape[0]), np.zeros(w.shape[-1])
    for t, g in enumerate(gradients, start=1):
        b2 = 1 - t**-decay_rate
        square = g * g + 1e-30
        if factored:
            rows, columns = (b2 * old + (1 - b2) * square.mean(axis) for old, axis in ((rows, 1), (columns, 0)))
            v = rows[:, None] * columns / rows.mean()
        else:
            v = b2 * v + (1 - b2) * square
        u = g / np.sqrt(v)
        u = u / max(1.0, rms(u) / clip) * max(1e-3, rms(w))
        w = w - ETA * (u + DECAY * w)
    return w


def _muon(gradients, w, beta=0.95, iterations=5, nesterov=True):
    """Jordan's Newton-Schulz iteration; moments without bias, and the factor of the larger side."""
    m = np.zeros_like(w)
    for t, g in enumerate(gradients, start=1):
        m = beta * m + (1 - beta) * g
        u = m / (1 - beta**t)
        if nesterov:
            u = beta * m / (1 - beta ** (t + 1)) + (1 - beta) * g / (1 - beta**t)
        x = u.T if u.shape[0] > u.shape[1] else u
        x = x / (np.linalg.norm(x) + 1e-8)
        for _ in range(iterations):
            square = x @ x.T
            x = 3.4445 * x + (-4.775 * square + 2.0315 * square @ square) @ x
        x = x.T if u.shape[0] > u.shape[1] else x
        w = w - ETA * (math.sqrt(max(1, w.shape[1] / w.shape[0])) * x + DECAY * w)
    return w


def _adopt(gradients, w, b1=0.9, b2=0.9999, eps=1e-6, clip=True):
    m, v = np.zeros_like(w), gradients[0] ** 2
    w = w - ETA * DECAY * w  # decay is decoupled, and the first gradient begins the second moment
    for t, g in enumerate(gradients[1:], start=1):
        u = g / np.maximum(np.sqrt(v), eps)
        m = b1 * m + (1 - b1) * (np.clip(u, -(t**0.25), t**0.25) if clip else u)
        v = b2 * v + (1 - b2) * g * g
        w = w - ETA * (m + DECAY * w)
    return w


def _schedule_free(gradients, w, b1=0.9, b2=0.999, eps=1e-8):
    """Algorithm 1 of Defazio et al. with a constant rate, so that c = 1/t; returns y, the weights that are trained."""
    x, y, z, v = w, w, w, np.zeros_like(w)
    for t, g in enumerate(gradients, start=1):
        v = b2 * v + (1 - b2) * g * g
        z = z - ETA * (g / (np.sqrt(v / (1 - b2**t)) + eps) + DECAY * y)
        x = (1 - 1 / t) * x + z / t
        y = (1 - b1) * z + b1 * x
    return y


def _lamb(gradients, w, b1=0.9, b2=0.999, eps=1e-6):
    """Algorithm 2 of You et al. 2020 (arXiv 1904.00962)."""
    m = v = np.zeros_like(w)
    for t, g in enumerate(gradients, start=1):
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
        r = (m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t)) + eps) + DECAY * w
        w = w - ETA * np.linalg.norm(w) / np.linalg.norm(r) * r
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
        ("adafactor", _adafactor),
        ("adafactor(decay_rate=0.5, clip=0.5)", lambda g, w: _adafactor(g, w, 0.5, 0.5)),
        ("adafactor(factor_from=3)", lambda g, w: _adafactor(g, w, factored=True)),
        ("muon", _muon),
        ("muon(beta=0.5, nesterov=False, iterations=3)", lambda g, w: _muon(g, w, 0.5, 3, nesterov=False)),
        ("adopt", _adopt),
        ("adopt(b1=0.5, b2=0.9, eps=0.5, clip=False)", lambda g, w: _adopt(g, w, 0.5, 0.9, 0.5, clip=False)),
        ("schedule_free_adamw", _schedule_free),
        ("schedule_free_adamw(b1=0.5, b2=0.9, eps=0.1)", lambda g, w: _schedule_free(g, w, 0.5, 0.9, 0.1)),
        ("optax(name='lamb')", _lamb),
        ("optax(name='lamb', b1=0.5, b2=0.9, eps=0.1)", lambda g, w: _lamb(g, w, 0.5, 0.9, 0.1)),
    ],
)
def test_updates_are_those_of_numpy(spec, reference):
    rng = np.random.default_rng(0)
    gradients, start = rng.normal(size=(6, 3, 4)), rng.normal(size=(3, 4))
    found = _run(spec, gradients, start)[-1]
    np.testing.assert_allclose(found, reference(gradients, start), rtol=5e-4, atol=2e-5)  # 1 - 0.999^t in float32


# ---- the second: properties and numbers by hand


def test_first_step_of_adamw_by_hand():
    # m_hat / sqrt(v_hat) is the sign of the gradient: 2 - 0.1 (1 + 0.3 * 2) and -4 - 0.1 (-1 + 0.3 * -4)
    (found,) = _run("adamw", [[0.5, -7.0]], [2.0, -4.0])
    np.testing.assert_allclose(found, [1.84, -3.78], rtol=1e-6)


def test_sgd_reaches_the_speed_of_its_momentum():
    """Under a constant gradient a step grows to 1 / (1 - momentum) of the first."""
    path = _run("sgd(momentum=0.8)", np.ones((80, 1)), [0.0], decay=0.0)
    assert path[0][0] == pytest.approx(-ETA)
    assert path[-1][0] - path[-2][0] == pytest.approx(-5 * ETA, rel=1e-4)


def test_lion_moves_every_weight_by_the_learning_rate():
    path = _run("lion", np.random.default_rng(0).normal(size=(5, 3, 4)) * 1e-3, np.zeros((3, 4)), decay=0.0)
    np.testing.assert_allclose(np.abs(np.diff(path, axis=0)), ETA, rtol=1e-4)


def test_first_step_of_adafactor_by_hand():
    # Its second moment is that of the gradient alone at first, so the step is the sign (root mean square 1, not
    # clipped), times the root mean square of the weights, 5; decay is that of all others: 7 - 0.1 (5 + 0.3 * 7).
    (found,) = _run("adafactor", [[0.5, -2.0]], [7.0, 1.0])
    np.testing.assert_allclose(found, [7 - 0.1 * (5 + 2.1), 1 - 0.1 * (-5 + 0.3)], rtol=1e-5)


def test_adafactor_factors_from_the_size_given():
    w = jnp.ones((8, 8))
    states = [specs.build("optimizer", f"adafactor(factor_from={n})").make(ETA, DECAY, True).init(w) for n in (8, 9)]
    sizes = [sum(leaf.size for leaf in jax.tree.leaves(state)) for state in states]
    assert sizes[0] < 64 < sizes[1]


def test_muon_turns_a_matrix_into_one_with_equal_singular_values():
    """Between 0.7 and 1.2, as Jordan has it, whatever the gradient's are; vectors get Adam's first step, the sign."""
    gradient = np.diag([1.0, 0.3, 0.1]) @ np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    (found,) = _run("muon", [gradient], np.zeros((3, 3)), decay=0.0)
    values = np.linalg.svd(found / ETA, compute_uv=False)
    assert (values > 0.65).all()
    assert (values < 1.25).all()
    (vector,) = _run("muon(nesterov=False)", [[0.2, -3.0]], [0.0, 0.0], decay=0.0)
    np.testing.assert_allclose(vector, [-ETA, ETA], rtol=1e-5)


def test_adopt_waits_and_is_blind_to_the_scale_of_gradients():
    gradients = np.random.default_rng(0).normal(size=(5, 3))
    path = _run("adopt", gradients, np.zeros(3), decay=0.0)
    assert not path[0].any()
    np.testing.assert_allclose(_run("adopt", 100 * gradients, np.zeros(3), decay=0.0)[-1], path[-1], rtol=1e-5)


def test_schedule_free_evaluates_the_mean_of_its_steps():
    """With momentum b1 near 1 gradients are taken at the average, which is that of z: here z_t = -0.1 t."""
    path, state = _path("schedule_free_adamw", np.ones((4, 1)), np.zeros(1), decay=0.0)
    evaluated = specs.build("optimizer", "schedule_free_adamw").evaluated
    np.testing.assert_allclose(evaluated(state, path[-1]), -ETA * np.mean([1, 2, 3, 4]), rtol=1e-5)
    np.testing.assert_allclose(path[-1], -ETA * (0.9 * 2.5 + 0.1 * 4), rtol=1e-5)


def test_lamb_moves_a_matrix_by_a_share_of_its_norm():
    w = np.random.default_rng(0).normal(size=(3, 4))
    (found,) = _run("optax(name='lamb')", [np.ones((3, 4))], w, decay=0.0)
    assert np.linalg.norm(found - w) == pytest.approx(ETA * np.linalg.norm(w), rel=1e-5)


@pytest.mark.parametrize("spec", ["adamw", "sgd", "lion", "adafactor", "muon", "adopt", "optax(name='rmsprop')"])
def test_without_gradient_weights_decay_geometrically(spec):
    path = _run(spec, np.zeros((3, 2, 2)), np.full((2, 2), 8.0))
    np.testing.assert_allclose(path[-1], np.full((2, 2), 8.0 * (1 - ETA * DECAY) ** 3), rtol=1e-6)


@pytest.mark.parametrize("spec", [name for name in specs.names("optimizer") if name != "optax"])
def test_what_is_masked_does_not_decay(spec):
    path = _run(spec, np.zeros((3, 2, 2)), np.full((2, 2), 8.0), decays=False)
    np.testing.assert_allclose(path[-1], np.full((2, 2), 8.0), rtol=1e-6)


@pytest.mark.parametrize("name", list(others.known()))
def test_the_rest_of_optax_runs_with_a_traced_rate(name):
    """Every function that can be named moves the weights, and they stay finite."""
    gradients = np.random.default_rng(0).normal(size=(4, 3, 4))
    start = np.full((3, 4), 1e-3, np.float32)  # small, so that small steps are not lost
    path = _run(f"optax(name='{name}')", gradients, start, eta=0.01, decay=0.1)
    assert np.isfinite(path).all()
    assert not np.array_equal(path[-1], start)


# ---- decay, schedule, clipping, average


def test_decay_spares_vectors_biases_and_frozen_embeddings():
    params = {
        "embedding": {"table": jnp.ones((3, 2))},
        "block": {"kernel": jnp.ones((2, 2)), "bias": jnp.ones((2, 2)), "scale": jnp.ones(2)},
    }
    assert decayed(params) == {
        "embedding": {"table": True},
        "block": {"kernel": True, "bias": False, "scale": False},
    }
    assert decayed(params, frozen_embeddings=True)["embedding"] == {"table": False}


def test_schedules_by_hand():
    at = {name: schedule(name, steps=12, warmup=4) for name in ("constant", "linear", "cosine")}
    for factor in at.values():
        assert [float(factor(t)) for t in range(4)] == [0.25, 0.5, 0.75, 1.0]
        assert float(factor(4)) == 1.0
    assert float(at["constant"](11)) == 1.0
    assert float(at["linear"](8)) == 0.5
    assert float(at["linear"](11)) == pytest.approx(1 / 8)
    assert float(at["cosine"](6)) == pytest.approx((1 + math.cos(math.pi / 4)) / 2)
    assert float(at["cosine"](8)) == pytest.approx(0.5)
    assert float(at["cosine"](11)) > 0
    assert float(schedule("linear", steps=2, warmup=0)(jnp.int32(0))) == 1.0


def test_the_decay_of_the_average_rises():
    found = [float(update.average_decay(jnp.float32(0.5), jnp.int32(t))) for t in (0, 1, 7, 8, 100)]
    np.testing.assert_allclose(found, [1 / 10, 2 / 11, 8 / 17, 0.5, 0.5], rtol=1e-6)


# ---- specs


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("adam", r"unknown optimizer 'adam' \(nearest: 'adamw'\); known: adafactor, adamw, adopt, lion, muon, optax"),
        ("sgd(moment=0.9)", r"unknown option 'moment' \(nearest: 'momentum'\); options of sgd: momentum=0.9, nesterov=False"),
        ("sgd(nesterov=1)", "option 'nesterov' wants True or False, got 1"),
        ("sgd(momentum=True)", "option 'momentum' wants a number, got True"),
        ("lion(b1=1.0)", r"b1 must be in \[0, 1\), got 1"),
        ("adamw(eps=0)", "eps must be above 0, got 0"),
        ("schedule_free_adamw(b1=0)", "b1 must be above 0, got 0"),
        ("optax", "option 'name' must be given"),
        ("optax(name='lmab')", r"optax has no optimizer 'lmab' \(nearest: 'lamb'\); known: acprop"),
        ("optax(name='lamb', b3=1)", r"lamb has no option 'b3' \(nearest: 'b2'\); options: b1=0.9"),
        ("optax(name='lamb', weight_decay=0.1)", "lamb has no option 'weight_decay'"),
        ("optax(name='lamb', b1='x')", "option 'b1' of lamb must be like 0.9, got 'x'"),
        ("optax(name='adamw')", "adamw is an optimizer of its own"),
        *((f"optax(name='{name}')", f"optax's {name} needs") for name in others.REFUSED),
    ],
)
def test_bad_optimizers_are_named(spec, message):
    with pytest.raises(ValueError, match=f"config.training.optimizer: .*{message}"):
        config.from_dict({"training": {"optimizer": spec}})


def test_an_average_beside_that_of_the_optimizer_is_refused():
    with pytest.raises(ValueError, match="ema_decay must be 0 with schedule_free_adamw"):
        config.from_dict({"training": {"optimizer": "schedule_free_adamw", "ema_decay": 0.9}})
