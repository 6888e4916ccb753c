"""Evidence of the rising half of a sine's first half turn."""

import math

import jax.numpy as jnp
import numpy as np
import pytest

import attention
from attention.records import Call
from tests.support.encodings import FAR, SEEN_THROUGH_LAYER_NORM, L, coded, embedded, is_seen_through_layer_norm
from tests.support.evidence import EncodingCase, EncodingEvidence
from tests.support.helpers import jit, normal
from tests.support.row import Row


def form(K, multiple=lambda c: 1):
    return coded(lambda i, dim, params: np.array([math.sin(multiple(c) * i * math.pi / (2 * K)) for c in range(dim)]))


def oracles():
    from tests.support.encoding_oracles import fixed, torch

    theirs = lambda p: torch.sin(p.double()[..., None] * torch.arange(1, 4) * torch.pi / 100)
    ours = lambda p: attention.sin_half_period(p, 3, max_length=50, multi_frequency=True)
    return {"torch.sin": fixed(ours, theirs)}


ROW = Row(
    "sin_half_period",
    {"max_length": "20", "multi_frequency": "True", "scale": "0.5", "combine": "concat"},
    EncodingEvidence(
        (
            EncodingCase("sin_half_period", form(L)),
            EncodingCase("sin_half_period(max_length=20, multi_frequency=True)", form(20, lambda c: c + 1)),
        ),
        oracles,
        moved="other",
        errors={
            "sin_half_period(max_length=0)": "max_length must be None or >= 1, got 0",
            "sin_half_period(scale=0)": "scale must be a finite number other than 0, got 0.0",
            "sin_half_period(multi_frequency=True, combine=concat)": "multi_frequency has one per channel",
        },
    ),
)


def test_it_rises_and_falls():
    """The golden values rise from 0 to 1 at K, and K + m has the code of K - m."""
    found = attention.sin_half_period(jnp.arange(5), 3, max_length=4)
    np.testing.assert_allclose(found, np.tile([[0], [0.38268343], [0.70710678], [0.92387953], [1]], 3), atol=1e-6)
    codes = attention.sin_half_period(jnp.arange(97), 1, max_length=48)[:, 0]
    assert (np.diff(codes[:49]) > 0).all()
    np.testing.assert_allclose(codes[49:], codes[:48][::-1], atol=1e-6)
    many = attention.sin_half_period(jnp.array([3, 9]), 4, max_length=10, multi_frequency=True)
    np.testing.assert_allclose(many, [[math.sin((c + 1) * i * math.pi / 20) for c in range(4)] for i in (3, 9)], atol=1e-6)
    far = jit(lambda p: attention.sin_half_period(p, 4, max_length=300, multi_frequency=True))(FAR)
    np.testing.assert_allclose(far, [[math.sin((c + 1) * int(i) * math.pi / 600) for c in range(4)] for i in FAR], atol=1e-6)
    x = normal(0, 9, 4)
    np.testing.assert_array_equal(embedded("sin_half_period(max_length=48)", x), embedded("sin_half_period", x))
    with pytest.raises(ValueError, match=r"sin_half_period needs its max_length, or max_length= of the layer"):
        embedded("sin_half_period", x, Call())


@pytest.mark.parametrize(("options", "norm", "seen"), SEEN_THROUGH_LAYER_NORM)
def test_what_layer_norm_leaves(options, norm, seen):
    assert is_seen_through_layer_norm(f"sin_half_period({options})", norm) == seen


def test_bad_length():
    with pytest.raises(ValueError, match="max_length must be None or >= 1, got 0"):
        attention.sin_half_period(jnp.arange(2), 2, max_length=0)
