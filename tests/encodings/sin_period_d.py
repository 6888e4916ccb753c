"""Evidence of two turns in as many positions as there are channels."""

import math

import jax.numpy as jnp
import numpy as np
import pytest

import attention
from tests.support.encodings import FAR, coded
from tests.support.evidence import EncodingCase, EncodingEvidence
from tests.support.helpers import jit
from tests.support.row import Row


def code(i, dim, params):
    angle = math.fmod(4 * i, 2 * dim) * math.pi / dim
    return np.array([(math.cos if c % 2 else math.sin)(angle) for c in range(dim)])


def oracles():
    from tests.support.encoding_oracles import A, fixed, torch

    def theirs(p):
        angle = (p % A.D).double() * 4 * torch.pi / A.D
        return torch.view_as_real(torch.polar(torch.ones(()).double(), angle)).flip(-1)

    return {"torch.polar": fixed(lambda p: attention.sin_period_d(p, A.D)[..., :2], theirs)}


ROW = Row(
    "sin_period_d",
    {"scale": "0.5"},
    EncodingEvidence(
        (EncodingCase("sin_period_d", coded(code)),),
        oracles,
        moved="other",
        errors={"sin_period_d(scale=0)": "scale must be a finite number other than 0, got 0.0"},
    ),
)


@pytest.mark.parametrize("dim", [1, 2, 5, 12, 64])
def test_it_repeats(dim):
    """Positions half the width apart have one code; at a width of 64, positions 0 and 32 are one."""
    found = jit(lambda p: attention.sin_period_d(p, dim))(FAR)
    angle = [math.fmod(4 * int(i), 2 * dim) * math.pi / dim for i in FAR]
    np.testing.assert_allclose(found, [[(math.cos if c % 2 else math.sin)(a) for c in range(dim)] for a in angle], atol=1e-6)
    period = dim // 2 if dim % 2 == 0 else dim
    codes = attention.sin_period_d(jnp.arange(3 * period), dim)
    np.testing.assert_allclose(codes[period:], codes[:-period], atol=1e-6)
    assert dim < 5 or np.abs(codes[1:period] - codes[0]).max(-1).min() > 0.1


def test_dimension():
    with pytest.raises(ValueError, match="dim must be >= 1, got 0"):
        attention.sin_period_d(jnp.arange(2), 0)
