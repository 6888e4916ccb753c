"""The recurrences as functions: other implementations, segments and gaps, and what they refuse."""

import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

import attention
from tests.support.encoders import D, U
from tests.support.helpers import normal


def test_examples():
    """Those of the documentation."""
    zeros, gates = jnp.zeros((2, 1)), jnp.array([0.0, 0.0, 9.0, 0.0])
    np.testing.assert_allclose(
        attention.lstm(zeros, zeros[:1].repeat(4, 1), zeros[:1].repeat(4, 1), gates), [[0.2311], [0.3175]], atol=1e-4
    )
    np.testing.assert_allclose(
        attention.gru(zeros, zeros[:1].repeat(3, 1), zeros[:1].repeat(3, 1), gates[:3]), [[0.5], [0.75]], atol=1e-4
    )


GATES = {"lstm": 4, "gru": 3}


def _weights(cell):
    """W, R and b of U units over D channels."""
    columns = GATES[cell] * U
    return [normal(i, *shape, scale=0.5) for i, shape in enumerate(((D, columns), (U, columns), (columns,)))]


@pytest.mark.parametrize("cell", GATES)
@pytest.mark.parametrize("reverse", [False, True])
def test_recurrences_of_flax(cell, reverse):
    """Flax's own cells over the text alone, longer than a block, are a second witness."""
    T, weights = 21, _weights(cell)
    x, lengths = normal(5, 3, T, D), np.array([21, 1, 10])
    found = getattr(attention, cell)(x, *weights, jnp.arange(T) < lengths[:, None], reverse=reverse)
    kernel, recurrent, bias = (jnp.split(w, GATES[cell], axis=-1) for w in weights)
    if cell == "lstm":
        params = {f"i{g}": {"kernel": kernel[k]} for k, g in enumerate("ifgo")}
        params |= {f"h{g}": {"kernel": recurrent[k], "bias": bias[k]} for k, g in enumerate("ifgo")}
        layer = nn.RNN(nn.OptimizedLSTMCell(U), reverse=reverse, keep_order=True)
    else:
        params = {f"i{g}": {"kernel": kernel[k], "bias": bias[k]} for k, g in enumerate("rzn")}
        params |= {f"h{g}": {"kernel": recurrent[k]} for k, g in enumerate("rzn")}
        params["hn"]["bias"] = jnp.zeros(U)
        layer = nn.RNN(nn.GRUCell(U), reverse=reverse, keep_order=True)
    wanted = layer.apply({"params": {"cell": params}}, x, seq_lengths=jnp.asarray(lengths))
    for b, n in enumerate(lengths):
        np.testing.assert_allclose(found[b, :n], wanted[b, :n], atol=1e-5)
        np.testing.assert_array_equal(found[b, n:], 0)


@pytest.mark.parametrize("cell", GATES)
def test_segments_and_gaps(cell):
    """A state begins anew in each segment, from either end, and padding in between is as if it were not there."""
    weights, function = _weights(cell), getattr(attention, cell)
    segments = jnp.array([4, 4, 4, 2, 2, 9])
    x, where = normal(6, 6, D), jnp.array([True, False, True, True, True, True])
    for reverse in (False, True):
        found = function(x, *weights, where, segments, reverse=reverse)
        for number in (4, 2, 9):
            mine = np.asarray((segments == number) & where)
            np.testing.assert_allclose(found[mine], function(x[mine], *weights, reverse=reverse), atol=1e-6)
        np.testing.assert_array_equal(found[1], 0)
        whole = function(x, *weights, where, reverse=reverse)
        np.testing.assert_allclose(whole[where], function(x[where], *weights, reverse=reverse), atol=1e-6)
        assert not np.allclose(whole, found)


def test_recurrence_wants_weights_of_one_size():
    with pytest.raises(ValueError, match=r"gru of 3 units wants 9 columns in kernel, recurrent and bias, got \(12, 12, 12\)"):
        attention.gru(jnp.zeros((2, D)), jnp.zeros((D, 12)), jnp.zeros((3, 12)), jnp.zeros(12))
