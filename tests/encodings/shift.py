"""Evidence of positions shifted in training."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

import attention
from attention.records import Call
from tests.encodings import rope
from tests.support.encodings import D, L, layer
from tests.support.evidence import EncodingCase, EncodingEvidence
from tests.support.helpers import init, normal
from tests.support.row import Row
from tests.support.wrappers import RAW, call, moved, training


def picture():
    from tools.kinds.encoding_maps import augmented

    return augmented("shift")


ROW = Row(
    "shift(inner=rope)",
    {"inner": "alibi", "most": "20, inner=sinusoidal"},
    EncodingEvidence(
        (EncodingCase("shift(inner=rope)", scores=rope.form()),),
        "in evaluation it is the encoding inside, and shifts are drawn",
        call=lambda: Call(train=True, rng=jax.random.key(3)),
        picture=picture,
        errors={
            "shift(most=-1)": "most must be >= 0, got -1",
            "shift(inner=learned(max_length=9), most=9)": "most 9 leaves none of the 9 positions of the encoding inside",
            "shift(inner=randomized)": "shift moves positions that the encoding inside then makes anew",
            "shift(inner=learned + every(inner=cape(inner=rope)))": "shift moves positions .* then makes anew",
        },
    ),
)


def test_one_number_per_example():
    """One number per example, uniform from 0 to the most, in training alone."""
    given = training(positions=jnp.arange(6), valid=jnp.ones((3000, 6), bool))
    found = moved("shift(most=9)", given)
    by = found[:, 0]
    np.testing.assert_array_equal(found, by[:, None] + np.arange(6))
    counts = np.bincount(by, minlength=10)
    assert len(counts) == 10
    assert np.abs(counts - 300).max() < 5 * 300**0.5
    assert not np.array_equal(found, moved("shift(most=9)", dataclasses.replace(given, rng=jax.random.key(4))))
    record = attention.build("encoding", "shift(most=9)")
    plain = Call(rng=jax.random.key(0))
    assert record.positions({}, plain) == plain  # positions are still known to count up by ones
    np.testing.assert_array_equal(moved("shift(most=0)", training()), RAW)


def test_two_sequences_move_together():
    """Two sequences move together."""
    q, k = jnp.arange(3)[None], jnp.array([[5, 9]])
    record = attention.build("encoding", "shift(most=900)")
    found = record.positions({}, Call(q, k, train=True, rng=jax.random.key(3)))
    by = found.k_positions[0, 0] - 5
    assert 0 < by <= 900
    np.testing.assert_array_equal(found.q_positions, q + by)
    np.testing.assert_array_equal(found.k_positions, k + by)


def test_relative_positions_stay():
    (_, shifted), (_, plain) = layer("shift(inner=rope)"), layer("shift(inner=sinusoidal)")
    x, given = normal(0, 2, 6, D), training()
    run = lambda run, given: run({}, x, given)
    np.testing.assert_allclose(run(shifted, given)[0], run(shifted, call())[0], atol=1e-5)
    assert not np.allclose(run(plain, given)[0], run(plain, call())[0], atol=1e-3)


def test_tables():
    record = attention.build("encoding", "shift(inner=learned, most=9)")
    assert init(record)["inner"]["table"].shape == (L + 9, D)
    assert record.max_length == "dims"
    distances = attention.build("encoding", "shift(inner=fope(base=50), most=900)")
    assert init(distances)["inner"]["cos"].shape == (4, 3, 2)  # the longest distance of training is what it was
    assert attention.build("encoding", "shift(inner=learned(max_length=30), most=9)").max_length == 21
