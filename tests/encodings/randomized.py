"""Evidence of randomized positions: how they are drawn, and what an encoding makes of them."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import attention
from attention.records import Call, Encoding
from tests.support.encodings import D, L, layer
from tests.support.evidence import EncodingEvidence
from tests.support.helpers import DIMS, init, inputs, jit, normal
from tests.support.models import made
from tests.support.row import Row
from tests.support.wrappers import RAW, VALID, call, moved, training


def picture():
    from tools.kinds.encoding_maps import drawn

    return drawn("randomized", "rope")


ROW = Row(
    "randomized",
    {"inner": "alibi", "max_position": "60"},
    EncodingEvidence(
        (),
        "positions are drawn; their distribution and the limits are checked below",
        max_length=2048,
        picture=picture,
        errors={
            "randomized(max_position=0)": r"max_position must be in \[1, 65536\], got 0",
            "randomized(max_position=65537)": r"max_position must be in \[1, 65536\], got 65537",
            "randomized(inner=learned(max_length=9))": "max_position 2048 is beyond the 9 positions of the encoding inside",
            "randomized(inner=ropes)": r"unknown encoding 'ropes' \(nearest: 'rope'\)",
        },
    ),
)

# The draw.


def test_draws_are_uniform():
    """Every subset as often as any other, in order, each position once; fewer of a key are a part of more."""
    keys = jax.random.split(jax.random.key(1), 20_000)
    draw = functools.partial(attention.randomized_positions, length=3, max_position=7)
    found = np.asarray(jit(jax.vmap(lambda key: draw(key, 3)))(keys))
    counts = [np.sum((found == subset).all(-1)) for subset in itertools.combinations(range(7), 3)]
    assert sum(counts) == len(keys)
    wanted = len(keys) / 35
    assert np.abs(np.array(counts) - wanted).max() < 5 * wanted**0.5
    fewer = np.asarray(jit(jax.vmap(draw, in_axes=(0, None)))(keys, 2))
    assert (fewer[:, 2] == 0).all()
    assert (fewer[:, 0] < fewer[:, 1]).all()
    assert all(set(few[:2]) <= set(more) for few, more in zip(fewer[:100], found[:100]))
    assert np.abs(np.bincount(fewer[:, :2].ravel(), minlength=7) - len(keys) * 2 / 7).max() < 5 * (len(keys) * 2 / 7) ** 0.5


@pytest.mark.parametrize("most", [1, 2, 5, 64, 65, 2048, 65536])
def test_draws_reach_all_positions(most):
    """The whole range in order, and a few of it without repetition."""
    draw = jit(attention.randomized_positions, static_argnames=("length", "max_position"))
    length = min(most, 300)
    for seed in range(5):
        found = np.asarray(draw(jax.random.key(seed), length, length=length, max_position=most))
        assert (np.diff(found) > 0).all()
        assert found[0] >= 0
        assert found[-1] < most
        if most == length:
            np.testing.assert_array_equal(found, np.arange(most))
    np.testing.assert_array_equal(draw(jax.random.key(0), 0, length=1, max_position=most), [0])


def test_draws_of_equal_bits(monkeypatch):
    """Were all random bits alike, the largest there are too, every position would still be there once."""
    for value in (0, 2**32 - 1):
        monkeypatch.setattr(jax.random, "bits", lambda rng, shape, dtype: jnp.full(shape, value, dtype))  # noqa: B023
        for count in (3, 8):
            found = attention.randomized_positions(jax.random.key(0), count, length=8, max_position=8)
            np.testing.assert_array_equal(found[:count], np.arange(count))


# Positions.


def test_they_increase_and_each_example_has_its_own():
    found = moved("randomized(max_position=40)", training())
    assert (np.diff(found[0]) > 0).all()
    assert (np.diff(found[1, :4]) > 0).all()
    assert (found[1, 4:] == 0).all()
    assert found.max() < 40
    assert not np.array_equal(found[0, :4], found[1, :4])
    assert not np.array_equal(found, moved("randomized(max_position=40)", training(1)))
    many = moved("randomized(max_position=40)", training(valid=jnp.ones((400, 6), bool), positions=jnp.arange(6)))
    assert len({tuple(row) for row in many}) > 390
    np.testing.assert_allclose(many.mean(0), 41 * np.arange(1, 7) / 7 - 1, atol=1.5)  # of order statistics


def test_evaluation():
    """All texts of a length alike, whatever else is in the batch; from the key of the call, or from a fixed one."""
    spec = "randomized(max_position=40)"
    found = moved(spec, call())
    np.testing.assert_array_equal(found, moved(spec, call()))
    np.testing.assert_array_equal(found[1, :4], moved(spec, call(RAW[1:, :4], VALID[1:, :4]))[0])
    padded = moved(spec, Call(q_valid=jnp.arange(9) < 6, k_valid=jnp.arange(9) < 6))
    np.testing.assert_array_equal(found[0], padded[:6])
    with_key = moved(spec, call(rng=jax.random.key(5)))
    assert not np.array_equal(with_key, found)
    np.testing.assert_array_equal(with_key[0, :4][None], with_key[:1, :4])
    assert not np.array_equal(with_key, moved(spec, call(rng=jax.random.key(6))))


def test_the_order_alone_counts():
    """Left padding, gaps, another order, tokens at one position, and what stands at padding: the order alone counts."""
    spec = "randomized(max_position=40)"
    plain = moved(spec, Call(jnp.arange(5), jnp.arange(5)))
    for positions, valid, wanted in [
        ([10**6, 10**6 + 1, 10**6 + 2, 10**6 + 3, 10**6 + 4], [1, 1, 1, 1, 1], plain),
        ([-7, 0, 3, 90, 91], [1, 1, 1, 1, 1], plain),
        ([3, 0, 4, 1, 2], [1, 1, 1, 1, 1], plain[[3, 0, 4, 1, 2]]),
        ([-1, 50, 0, 1, 2, 3, 4], [0, 0, 1, 1, 1, 1, 1], [0, 0, *plain]),
        ([0, 1, 2, 0, 1, 3, 4], [1, 1, 1, 1, 1, 1, 1], plain[[0, 1, 2, 0, 1, 3, 4]]),
        ([0.5, 0.75, 2.0, 3.5, 9.0], [1, 1, 1, 1, 1], plain),
    ]:
        found = moved(spec, call(jnp.array(positions), jnp.array(valid, bool)))
        np.testing.assert_array_equal(found, wanted)
    # Where one side alone says what is valid, it says so for both.
    one = attention.build("encoding", spec).positions({}, Call(RAW, RAW, None, VALID))
    np.testing.assert_array_equal(one.q_positions, moved(spec, call()))
    other = attention.build("encoding", spec).positions({}, Call(RAW, RAW, VALID, RAW > 0))
    np.testing.assert_array_equal(other.k_positions, moved(spec, call(valid=VALID & (RAW > 0))))


@pytest.mark.parametrize("inner", ["rope", "alibi", "sinusoidal", "learned", "shaw(max_distance=3)", "sinusoidal + t5"])
def test_the_full_range_is_the_inner(inner):
    (record, run), (other, plain) = layer(f"randomized(inner={inner}, max_position={L})"), layer(inner)
    params, x = init(record), normal(0, 1, L, D)
    inside = params.get("inner", {})
    assert jax.tree.map(jnp.shape, inside) == jax.tree.map(jnp.shape, init(other))
    np.testing.assert_allclose(run(params, x, Call()), plain(inside, x, Call()), atol=1e-5)
    fewer = normal(0, 1, 9, D)
    assert not np.allclose(run(params, fewer, Call()), plain(inside, fewer, Call()), atol=1e-3)


def test_tables():
    """A table inside has a row for every position that may be drawn, and the training length inside is that of the range."""
    record = attention.build("encoding", "randomized(inner=learned, max_position=100)")
    assert init(record)["inner"]["table"].shape == (100, D)
    assert record.max_length == 100
    assert attention.build("encoding", "randomized(inner=learned(max_length=200), max_position=100)").max_length == 100
    assert init(record, DIMS._replace(max_length=None))["inner"]["table"].shape == (100, D)
    seen = []
    spy = Encoding(bias=lambda params, q, k, rest, call: seen.append((call.max_length, call.consecutive)), reads="block")
    query, key, value = inputs(T=6, S=6)
    from attention.encodings import randomized

    attention.attend(query, key, value, encoding=randomized.build(spy, 77), call=Call(max_length=6))
    attention.attend(query, key, value, encoding=spy, call=Call(max_length=6))
    assert seen == [(77, False), (6, True)]


def test_too_many_tokens():
    record = attention.build("encoding", "randomized(max_position=5)")
    with pytest.raises(ValueError, match="randomized has 5 positions to draw from, got a sequence of 6"):
        jit(record.positions)({}, call())
    with pytest.raises(ValueError, match="the encoding has 5 positions, got a sequence of 24"):
        made(encoding="randomized(max_position=5)")
