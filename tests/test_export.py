"""Programs of ``jax.export`` whose batch and lengths are open."""

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import config

import attention
from tests.support.helpers import jit, normal


@pytest.fixture(autouse=True)
def open_sizes_are_no_integers():
    """The hook that checks types knows none but integers; users have none."""
    config.update("jaxtyping_disable", True)
    yield
    config.update("jaxtyping_disable", False)


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
