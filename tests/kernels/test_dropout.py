"""Dropout as a function, which kernels share."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import attention
from attention.records import Call
from tests.support.helpers import inputs, jit, normal


def test_dropout_function():
    x = normal(0, 200, 101)
    drop = jit(attention.dropout)
    np.testing.assert_array_equal(drop(x, 0.0, jax.random.key(0)), x)
    dropped = np.asarray(drop(x, 0.3, jax.random.key(0)))
    kept = dropped != 0
    np.testing.assert_allclose(dropped[kept], np.asarray(x)[kept] / (1 - round(0.3 * 65536) / 65536), rtol=1e-6)
    assert abs(kept.mean() - 0.7) < 4 * (0.21 / x.size) ** 0.5
    # Neighbours share one random word: their fates must not.
    assert abs(np.corrcoef(kept.ravel()[: x.size // 2], kept.ravel()[-(x.size // 2) :])[0, 1]) < 0.03
    assert not np.array_equal(kept, np.asarray(drop(x, 0.3, jax.random.key(1))) != 0)
    assert drop(x.astype(jnp.bfloat16), 0.3, jax.random.key(0)).dtype == jnp.bfloat16
    for rate in (-0.1, 1.0, 1.5, float("nan")):
        with pytest.raises(ValueError, match="rate"):
            attention.dropout(x, rate, jax.random.key(0))


def test_weights_are_returned_before_dropout():
    query, key, value = inputs(T=6, S=6)
    call = Call(rng=jax.random.key(0))
    run = jit(lambda *arrays: attention.attend(*arrays, call=call, dropout=0.5, return_weights=True)[1])
    np.testing.assert_allclose(run(query, key, value).sum(-1), 1.0, atol=1e-6)
