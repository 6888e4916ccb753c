"""Evidence of a sine and a cosine added up."""

import math

import jax.numpy as jnp
import numpy as np
import pytest

import attention
from tests.support.encodings import FAR, SEEN_THROUGH_LAYER_NORM, coded, embedded, is_seen_through_layer_norm
from tests.support.evidence import EncodingCase, EncodingEvidence
from tests.support.helpers import jit
from tests.support.row import Row


def code(i, dim, params):
    return np.full(dim, math.sin(i / 100) + math.cos(i / 1000))


def oracles():
    from tests.support.encoding_oracles import fixed, torch

    theirs = lambda p: torch.sin(p.double() / 10000**0.5) + torch.cos(p.double() / 10000**0.75)
    return {"torch.sin, torch.cos": fixed(attention.sin_cos_sum, theirs)}


ROW = Row(
    "sin_cos_sum",
    {"scale": "0.5", "combine": "concat"},
    EncodingEvidence(
        (EncodingCase("sin_cos_sum", coded(code)),),
        oracles,
        moved="other",
        errors={"sin_cos_sum(scale=0)": "scale must be a finite number other than 0, got 0.0"},
    ),
)


def test_values():
    wanted = [1, 1.009999, 1.019997, 1.029991, 1.039981, 1.049967]
    np.testing.assert_allclose(attention.sin_cos_sum(jnp.arange(6)), wanted, atol=1e-6)
    wanted = [math.sin(int(i) / 100) + math.cos(int(i) / 1000) for i in FAR]
    np.testing.assert_allclose(jit(attention.sin_cos_sum)(FAR), wanted, atol=2e-6)
    code = embedded("sin_cos_sum(scale=2)", jnp.zeros((6, 4)))
    np.testing.assert_array_equal(code, np.tile(code[:, :1], 4))
    np.testing.assert_allclose(code[5], 2 * 1.049967, atol=2e-6)
    np.testing.assert_array_equal(embedded("sin_cos_sum(combine=concat)", jnp.zeros((6, 4)))[:, :3], 0)


@pytest.mark.parametrize(("options", "norm", "seen"), SEEN_THROUGH_LAYER_NORM)
def test_what_layer_norm_leaves(options, norm, seen):
    assert is_seen_through_layer_norm(f"sin_cos_sum({options})", norm) == seen
