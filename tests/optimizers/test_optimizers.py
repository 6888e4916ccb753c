"""What all optimizers share: which weights decay, schedules of the rate, averages, and their names in a config."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attention.optimizers._optimizer import decayed, schedule
from attention.training import config
from attention.training.cohort import update


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


def test_embeddings_and_tables_of_positions_need_not_decay():
    encoder = {"encoding": {"table": jnp.ones((3, 2))}, "encoding_0": {"0": {"table": jnp.ones((3, 2))}}}
    params = {"embedding": {"table": jnp.ones((3, 2))}, "encoder": {**encoder, "block_0": {"kernel": jnp.ones((2, 2))}}}
    found = decayed(params, decay_embeddings=False)
    assert found["embedding"] == {"table": False}
    assert found["encoder"] == {
        "encoding": {"table": False},
        "encoding_0": {"0": {"table": False}},
        "block_0": {"kernel": True},
    }
    assert all(jax.tree.leaves(decayed(params)))


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
    ending = {name: schedule(name, steps=12, warmup=4, end=0.1) for name in at}
    assert float(ending["constant"](11)) == 1.0
    assert float(ending["linear"](8)) == pytest.approx(0.55)
    assert float(ending["cosine"](8)) == pytest.approx(0.55)


def test_the_decay_of_the_average_rises():
    found = [float(update.average_decay(jnp.float32(0.5), jnp.int32(t))) for t in (0, 1, 7, 8, 100)]
    np.testing.assert_allclose(found, [1 / 10, 2 / 11, 8 / 17, 0.5, 0.5], rtol=1e-6)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("adam", r"unknown optimizer 'adam' \(nearest: 'adamw'\); known: adafactor, adamw, adopt, lion, muon, optax"),
        ("adamw(eps=0)", "eps must be above 0, got 0"),
        ("optax(name='lmab')", "optax has no optimizer 'lmab'"),
    ],
)
def test_a_config_says_where_a_bad_optimizer_stands(spec, message):
    with pytest.raises(ValueError, match=f"config.training.optimizer: .*{message}"):
        config.from_dict({"training": {"optimizer": spec}})


def test_an_average_beside_that_of_the_optimizer_is_refused():
    with pytest.raises(ValueError, match="ema_decay must be 0 with schedule_free_adamw"):
        config.from_dict({"training": {"optimizer": "schedule_free_adamw", "ema_decay": 0.9}})
