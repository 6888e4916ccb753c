"""Every encoding in a classifier: padding, order, positions, and a few updates."""

import jax.numpy as jnp
import numpy as np
import pytest

import attention
from tests.support.encoding_rows import ROWS
from tests.support.models import batch, check_training, made, train


def _specs(name):
    """The row's spec under its mask; post-norm, since pre-norm takes out what is alike in all channels."""
    spec = SMALL.get(name, ROWS[name].spec)
    return {"encoding": spec, "mask": ROWS[name].mask, "encoder": "transformer(layers=1, mlp=2, norm=post)"}


# Where the row's own spec shows nothing at these sizes.
SMALL = {"sandwich": "sandwich(dim=64)"}


@pytest.mark.parametrize("name", ROWS)
def test_padding_and_order(name):
    """1 or 7 columns of padding change no logits; permuting the tokens does, unless nothing says where they are."""
    _, params, forward = made(**_specs(name))
    run = lambda tokens, valid: forward(params, tokens, valid)[0]
    tokens, valid = batch((6, 3), 6)
    logits = run(tokens, valid)
    for p in (1, 7):
        more = jnp.pad(jnp.where(valid, tokens, 4 + p), ((0, 0), (0, p)), constant_values=5)
        np.testing.assert_allclose(run(more, jnp.pad(valid, ((0, 0), (0, p)))), logits, atol=1e-5)
    order = np.array([3, 5, 0, 2, 4, 1])
    whole = jnp.ones_like(valid)
    permuted, plain = run(tokens[:, order], whole), run(tokens, whole)
    assert np.allclose(permuted, plain, atol=1e-5) != ROWS[name].ordered


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row.by_position])
def test_positions(name):
    """Explicit positions 0, 1, ... are None; with them, padding may stand on the left."""
    _, params, forward = made(**_specs(name))
    tokens, valid = batch()
    logits, _ = forward(params, tokens, valid)
    np.testing.assert_allclose(forward(params, tokens, valid, positions=jnp.tile(jnp.arange(6), (2, 1)))[0], logits, atol=1e-5)
    shift = np.array([[0], [3]])
    left = np.take_along_axis(np.asarray(tokens), (np.arange(6) - shift) % 6, 1)
    positions = np.where(np.arange(6) >= shift, np.arange(6) - shift, -77)
    found, _ = forward(params, jnp.asarray(left), jnp.asarray(positions >= 0), positions=jnp.asarray(positions))
    np.testing.assert_allclose(found, logits, atol=1e-5)


@pytest.mark.parametrize("name", attention.names("encoding"))
def test_trains(name):
    specs = _specs(name)
    check_training(*train(**{**specs, "encoder": "transformer(layers=2, mlp=2)"}))
