"""Evidence of Sandwich."""

import math

import jax.numpy as jnp
import numpy as np
import pytest

import attention
from tests.support.encodings import H, biased
from tests.support.evidence import EncodingCase, EncodingEvidence
from tests.support.row import Row


def form(dim):
    """The product of the codes of i and j, without its first frequency and with one more, less its largest value."""

    def bias(params, h, i, j, heads, last):
        total = 0.0
        for t in range(1, dim // 2 + 1):
            a, b = i / 10000 ** (2 * t / dim), j / 10000 ** (2 * t / dim)
            total += math.sin(a) * math.sin(b) + math.cos(a) * math.cos(b)
        return (total - dim // 2) / (8 * (h + 1) / heads)

    return biased(bias)


def oracles():
    from tests.support.encoding_oracles import POSITIONS, B, torch
    from tests.support.witness import FLOAT32, Witness

    def product_of_codes(positions):
        t = torch.arange(1, 5).double()
        code = torch.polar(torch.ones(()).double(), positions.double()[..., None] / 10000 ** (2 * t / 8))
        product = torch.einsum("bit,bjt->bij", code, code.conj()).real - 4
        return (product[..., None] / (8 * torch.arange(1, B.N + 1).double() / B.N)).moveaxis(-1, -3)

    def ours(p):
        return jnp.moveaxis(attention.sandwich_bias(p[:, :, None] - p[:, None, :], B.N, dim=8).astype(jnp.float64), -1, -3)

    return {"torch: product of codes": Witness(ours, product_of_codes, (POSITIONS,), FLOAT32, gradient=False)}


def picture():
    from tools.kinds.encoding_maps import of_heads

    return of_heads("sandwich")


ROW = Row(
    "sandwich(dim=64)",
    {"dim": "16"},
    EncodingEvidence(
        (
            EncodingCase("sandwich(dim=64)", scores=form(64)),
            EncodingCase("sandwich", scores=form(H)),
        ),
        oracles,
        directed=False,
        picture=picture,
        errors={
            "sandwich(dim=0)": "dim must be an even number >= 2, got 0",
            "sandwich(dim=5)": "dim must be an even number >= 2, got 5",
        },
    ),
)


def test_golden():
    found = attention.sandwich_bias(-jnp.arange(5), 4, dim=16)[:, 0]
    np.testing.assert_allclose(found, [0, -0.027568, -0.107788, -0.233453, -0.393340], atol=1e-6)


def test_bad_sizes():
    x = jnp.zeros((4, 3, 5))
    with pytest.raises(ValueError, match="sandwich wants an even head dim, or its own dim, got 5"):
        attention.attend(x, x, x, encoding="sandwich")
    assert attention.attend(x, x, x, encoding="sandwich(dim=6)").shape == x.shape
    with pytest.raises(ValueError, match="dim must be an even number >= 2, got 3"):
        attention.sandwich_bias(jnp.arange(3), 2, dim=3)
