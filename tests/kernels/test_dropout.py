"""Dropout as a function, which kernels share."""

import os
import subprocess
import sys

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
    # The two halves of a row share random words: their fates must not.
    assert abs(np.corrcoef(kept[:, :50].ravel(), kept[:, 51:].ravel())[0, 1]) < 0.04
    assert not np.array_equal(kept, np.asarray(drop(x, 0.3, jax.random.key(1))) != 0)
    assert drop(x.astype(jnp.bfloat16), 0.3, jax.random.key(0)).dtype == jnp.bfloat16
    for rate in (-0.1, 1.0, 1.5, float("nan")):
        with pytest.raises(ValueError, match="rate"):
            attention.dropout(x, rate, jax.random.key(0))


@pytest.mark.parametrize("shape", [(), (1,), (7,), (3, 1), (5, 4, 9), (2, 0)])
def test_any_shape(shape):
    x = jnp.ones(shape)
    dropped = jnp.stack([jit(attention.dropout)(x, 0.5, jax.random.key(seed)) for seed in range(200)])
    assert dropped.shape == (200, *shape)
    means = np.asarray(dropped.mean(0))
    assert np.all(abs(means - 1.0) < 5 / 200**0.5), means  # each element is dropped half of the time


def test_tokens_of_a_text_are_dropped_like_those_of_a_list():
    x, rng = normal(0, 6, 5, 10), jax.random.key(3)
    flat = attention.dropout(x.reshape(30, 10), 0.4, rng)
    np.testing.assert_array_equal(attention.dropout(x, 0.4, rng), flat.reshape(x.shape))


def test_nothing_crosses_devices_for_examples_split_over_them():
    child = """
import jax, jax.numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec as P
from attention.dropout import dropout

split = NamedSharding(jax.make_mesh((4,), ("data",)), P("data"))
x = jax.device_put(jnp.ones((8, 6, 9)), split)
text = jax.jit(dropout, out_shardings=split).lower(x, 0.5, jax.random.key(0)).compile().as_text()
crossing = ("all-gather", "all-to-all", "all-reduce", "collective-permute")
print("shards:", text.count("f32[2,6,9]") > 0, [name for name in crossing if f"{name}(" in text])
"""
    environment = {**os.environ, "XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=4"}
    done = subprocess.run([sys.executable, "-c", child], capture_output=True, text=True, env=environment)
    assert done.stdout == "shards: True []\n", done.stdout + done.stderr


def test_weights_are_returned_before_dropout():
    query, key, value = inputs(T=6, S=6)
    call = Call(rng=jax.random.key(0))
    run = jit(lambda *arrays: attention.attend(*arrays, call=call, dropout=0.5, return_weights=True)[1])
    np.testing.assert_allclose(run(query, key, value).sum(-1), 1.0, atol=1e-6)
