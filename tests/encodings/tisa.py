"""Evidence of TISA."""

import math

import jax.numpy as jnp
import numpy as np

import attention
from tests.support.encodings import N, biased, starts
from tests.support.evidence import EncodingCase, EncodingEvidence
from tests.support.row import Row


def bias(params, h, i, j, heads, last):
    bumps = zip(params["amplitude"][:, h], params["sharpness"][:, h], params["offset"][:, h])
    return sum(a * math.exp(-abs(s) * (i - j - o) ** 2) for a, s, o in bumps)


def oracles():
    from tests.support.encoding_oracles import B, bias_of, torch

    def bumps(distance, a, s, o):
        normal = torch.exp(-torch.abs(s) * (distance[..., None, None] - o) ** 2)
        return torch.einsum("kn,...kn->...n", a, normal)

    own = (B.normal(1, 3, B.N), 0.1 * B.normal(2, 3, B.N), 5 * B.normal(3, 3, B.N))
    return {"torch: sum of bumps": bias_of("tisa(kernels=3)", bumps, ("amplitude", "sharpness", "offset"), *own)}


ROW = Row(
    "tisa(kernels=2)",
    {"kernels": "3"},
    EncodingEvidence(
        (EncodingCase("tisa(kernels=2)", scores=biased(bias)),),
        oracles,
        (0, 3 * 2 * N),
        errors={"tisa(kernels=0)": "kernels must be >= 1, got 0"},
    ),
)


def test_a_bump_at_3_is_the_bias_at_3():
    """A sharp bump at o = 3 is the bias at Δ = 3."""
    one = lambda x: jnp.full((1, 1), x)
    found = attention.tisa_bias(jnp.arange(-5, 6), one(2.0), one(50.0), one(3.0))[:, 0]
    np.testing.assert_allclose(found, np.where(np.arange(-5, 6) == 3, 2.0, 0.0), atol=1e-6)


def test_starts():
    found = starts("tisa", num_heads=4000)
    for name, mean, deviation in (("amplitude", 0.1, 0.01), ("sharpness", 0.1, 0.01), ("offset", 0.0, 5.0)):
        measured = found[name].mean(), found[name].std()
        np.testing.assert_allclose(measured, (mean, deviation), rtol=0.05, atol=0.1 * deviation)
