"""Programs of ``jax.export`` whose batch and lengths are open."""

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest

import attention
from attention.records import Call
from tests.support import sharded
from tests.support.helpers import jit, normal, open_sizes, params_of


@pytest.fixture(autouse=True)
def _open_sizes():
    with open_sizes():
        yield


@pytest.mark.parametrize("shape", ["b, 64, 4, 8", "b, t, 4, 8", "2, t, 4, 8"])
@pytest.mark.parametrize(
    "options",
    [
        {"kernel": "auto", "mask": "causal", "encoding": "rope + alibi"},
        {"kernel": "chunked"},
        {"kernel": "chunked", "mask": "local(window=8)"},
        {"kernel": "auto", "normalizer": "sparsemax"},
        {"kernel": "dense", "normalizer": "entmax15"},
        {"kernel": "chunked", "normalizer": "entmax", "mask": "causal"},
    ],
    ids=str,
)
def test_open_sizes(options, shape):
    """One program, with its gradient, for every batch and length: the numbers of those compiled for each."""

    def run(query, key, value):
        output = attention.attend(query, key, value, **options)
        return output, jax.grad(lambda q: jnp.sum(attention.attend(q, key, value, **options) ** 2))(query)

    given = jax.ShapeDtypeStruct(jax.export.symbolic_shape(shape), jnp.float32)
    program = jax.export.export(jit(run))(given, given, given)
    for B, T in ((2, 64), (3, 64)) if "b, 64" in shape else ((2, 5), (2, 150)):
        arrays = [normal(seed, B, T, 4, 8) for seed in range(3)]
        for found, wanted in zip(program.call(*arrays), jit(run)(*arrays)):
            np.testing.assert_allclose(found, wanted, atol=2e-5)


@pytest.mark.parametrize("encoding", ["none", "rope", "alibi", "rope + t5"])
def test_open_queries_and_keys(encoding):
    """Neither length is known, nor which of them is larger."""
    T, S = jax.export.symbolic_shape("t, s")
    own = params_of(encoding=encoding)

    def run(query, key, i, j):
        return attention.attend(query, key, key, encoding=encoding, params=own, call=Call(i, j))

    given = [jax.ShapeDtypeStruct((2, size, 4, 8), jnp.float32) for size in (T, S)]
    given += [jax.ShapeDtypeStruct((size,), jnp.int32) for size in (T, S)]
    program = jax.export.export(jit(run))(*given)
    for t, s in ((3, 7), (7, 3)):
        arrays = normal(0, 2, t, 4, 8), normal(1, 2, s, 4, 8), jnp.arange(t), jnp.arange(s)
        np.testing.assert_allclose(program.call(*arrays), jit(run)(*arrays), atol=2e-5)


@pytest.mark.parametrize(("kind", "name"), sharded.ALL, ids=lambda each: each)
def test_open_batch_and_length(kind, name):
    """Every part traces for any number of examples of any length, and with its gradients for any number of examples."""
    apply, own, arrays = sharded.case(kind, name)
    B, T = jax.export.symbolic_shape("b, t", constraints=[f"t <= {sharded.T}"])
    open_length = [jax.ShapeDtypeStruct((B, T, *array.shape[2:]), array.dtype) for array in arrays]
    assert jax.eval_shape(apply, own, *open_length).shape[:1] == (B,)
    given = [jax.ShapeDtypeStruct((B, *array.shape[1:]), array.dtype) for array in arrays]
    floats = tuple(i for i, array in enumerate(arrays, 1) if array.dtype == jnp.float32)
    loss = lambda *given: jnp.sum(apply(*given) ** 2)
    output = jax.eval_shape(lambda *given: (apply(*given), jax.grad(loss, (0, *floats))(*given)), own, *given)[0]
    assert output.shape[:1] == (B,)


@pytest.mark.parametrize(
    ("kind", "name"), [("encoding", "dape"), ("encoding", "fire"), ("encoding", "t5"), ("encoder", "bilstm")]
)
def test_open_batch_exported(kind, name):
    """One program for every number of examples: the numbers of those compiled for each."""
    apply, own, arrays = sharded.case(kind, name)
    B = jax.export.symbolic_shape("b")
    program = jax.export.export(jit(apply))(
        own, *(jax.ShapeDtypeStruct((*B, *array.shape[1:]), array.dtype) for array in arrays)
    )
    for size in (1, 4):
        few = [array[:size] for array in arrays]
        np.testing.assert_allclose(program.call(own, *few), jit(apply)(own, *few), atol=2e-5)
