"""Angles are exact far from the origin, whatever they are for."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import attention
from attention.records import Call
from tests.support import reference, rotations
from tests.support.encodings import FAR, D
from tests.support.helpers import init, jit, normal


@pytest.mark.parametrize("base", [10000.0, 500000.0, 2.0, 0.5])
def test_angles_are_exact(base):
    """Float64 products reduced exactly by fmod, at positions where float32 products are off by up to 1e2."""
    positions = np.array([*FAR, 2**31 - 1, *-FAR, 1 - 2**31])
    wanted = np.stack([reference.sinusoidal(int(p), 16, base) for p in positions])
    found = jit(lambda p: attention.sinusoidal(p, 16, base=base))(jnp.asarray(positions, jnp.int32))
    np.testing.assert_allclose(found, wanted, atol=1e-6)
    x = np.asarray(normal(0, len(positions), 1, 16), np.float64)
    turned = jit(lambda x, p: attention.rope(x, p, base=base))(jnp.asarray(x, jnp.float32), jnp.asarray(positions, jnp.int32))
    wanted = np.stack([reference.rope(row[0], int(p), base) for row, p in zip(x, positions)])[:, None]
    np.testing.assert_allclose(turned, wanted, atol=4e-6)


def test_learned_angles_are_exact():
    """Angles of float32 frequencies at positions where float32 products are off by 1e-1, and their gradients."""
    w = np.asarray(normal(0, 200, scale=2.0)).astype(np.float32)
    w[:3] = 0.0, -1e-12, np.pi
    wave_of = lambda p, w: attention.complex_order(jnp.ones((len(p), len(w))), p, jnp.broadcast_to(w, (len(p), len(w))))
    wave = jit(wave_of)
    signed = np.concatenate([FAR, -FAR])
    angle = signed[:, None].astype(np.longdouble) * w.astype(np.longdouble)
    found = np.concatenate([wave(FAR, w), wave(-FAR, w)])
    np.testing.assert_allclose(found, (np.cos(angle) + np.sin(angle)).astype(np.float64), atol=2e-6)
    products = np.cos(FAR[-1].astype(np.float32) * w)
    assert np.abs(products - np.cos(angle[len(FAR) - 1])).max() > 1e-2  # what the product of floats would make of it
    slope = jit(jax.grad(lambda w: jnp.sum(wave_of(jnp.array([5]), w))))(w)
    np.testing.assert_allclose(slope, 5 * (np.cos(5 * w) - np.sin(5 * w)), atol=1e-5)
    moved = wave(FAR.astype(np.float32) / 3, w)  # after encodings that make floats
    np.testing.assert_allclose(moved[:3], np.cos(FAR[:3, None] / 3 * w) + np.sin(FAR[:3, None] / 3 * w), atol=1e-5)


def test_positions_survive_low_precision():
    """bfloat16 cannot hold position 257: positions are never cast to the type of the states."""
    x = jnp.zeros((1, 300, D), jnp.bfloat16)
    code = attention.build("encoding", "sinusoidal").embed({}, x, None, Call())
    np.testing.assert_allclose(code[0, 257].astype(jnp.float32), reference.sinusoidal(257, D), atol=4e-3)
    rotated = attention.rope(jnp.ones((2, 1, 8), jnp.bfloat16), jnp.array([256, 257]))
    assert rotated.dtype == jnp.bfloat16
    np.testing.assert_allclose(rotated[1, 0].astype(jnp.float32), reference.rope(np.ones(8), 257), atol=1e-2)


def test_fractions_of_positions():
    """The whole part of a float position is exact far from the origin, and what is left turns by its share, with a gradient."""
    where = np.array([0.25, -3.5, 65537.5, 4_000_000.25])
    x = normal(0, 4, 1, 8)
    found = attention.rope(x, jnp.asarray(where, jnp.float32))
    wanted = [rotations.turned(x[t, 0], where[t], rotations.frequencies(8)) for t in range(4)]
    np.testing.assert_allclose(found[:, 0], wanted, atol=4e-6)
    slope = jax.jacobian(lambda p: attention.rope(jnp.ones((1, 1, 2)), p)[0, 0, 0])(jnp.array([3.25]))
    np.testing.assert_allclose(slope, [-math.sin(3.25) - math.cos(3.25)], rtol=1e-5)


@pytest.mark.parametrize("spec", ["learned(max_length=6)", "axial(lengths=(2, 3))"])
def test_tables_are_not_asked_for_padding(spec):
    """A table is not asked for the position of padding, which may be outside of it; positions are whole numbers."""
    record = attention.build("encoding", spec)
    params, x, valid = init(record), normal(0, 1, 4, D), jnp.array([[True, True, True, False]])
    where = jnp.array([[3, 5, 0, 77]])
    run = lambda x, p: record.embed(params, x, None, Call(p, p, valid, valid))
    np.testing.assert_allclose(run(x, where)[:, :3], record.embed(params, x[:, :3], None, Call(where[:, :3])), atol=1e-6)
    assert np.isfinite(jit(run)(x, where)).all()
    with pytest.raises(ValueError, match="has a row per whole position, got positions of type float32"):
        run(x, where.astype(jnp.float32))
