"""Evidence of sinusoidal positions."""

import functools
import math

import jax.numpy as jnp
import numpy as np
import pytest

import attention
from tests.support import reference
from tests.support.encodings import D, coded, starts
from tests.support.evidence import EncodingCase, EncodingEvidence
from tests.support.helpers import jit
from tests.support.row import Row

FORM = "sinusoidal(base=50.0, layout=concat, denominator=half_minus_one, learned_scale=True)"


def scaled(i, dim, params):
    return params["scale"] * reference.sinusoidal(i, dim, 50.0, "concat", "half_minus_one")


def scaled_words(x, tokens, i, text, params):
    """Section 3.4 of the paper: the words times √D, and the codes as they are."""
    return math.sqrt(x.shape[-1]) * x + np.stack([reference.sinusoidal(int(position), x.shape[-1]) for position in i])


ROW = Row(
    "sinusoidal",
    {"base": "50.0", "layout": "concat", "denominator": "half_minus_one", "learned_scale": "True", "scaled_words": "True"},
    EncodingEvidence(
        (
            EncodingCase("sinusoidal", coded(lambda i, dim, params: reference.sinusoidal(i, dim))),
            EncodingCase(FORM, coded(scaled)),
            EncodingCase("sinusoidal(scaled_words=True)", scaled_words),
        ),
        "its numbers are published ones",
        moved="other",
        errors={"sinusoidal(base=-1)": "base must be > 0, got -1.0"},
    ),
)


@pytest.mark.parametrize("dim", [1, 2, 6, 7, 16])
@pytest.mark.parametrize("layout", ["interleaved", "concat"])
@pytest.mark.parametrize("denominator", ["dim", "half_minus_one"])
def test_every_layout_and_width(dim, layout, denominator):
    positions = np.array([[0, 1, 5], [77, 2, 4096]])
    found = jit(functools.partial(attention.sinusoidal, dim=dim, layout=layout, denominator=denominator, base=300.0))(positions)
    wanted = [[reference.sinusoidal(int(p), dim, 300.0, layout, denominator) for p in row] for row in positions]
    np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_published():
    """keras-hub, sine_position_encoding_test.py; transformers, test_modeling_roformer.py."""
    found = attention.sinusoidal(jnp.array([3]), 6)[0]
    np.testing.assert_allclose(found, [0.14112, -0.98999, 0.13879, 0.99032, 0.00646, 0.99997], atol=1e-5)
    found = attention.sinusoidal(jnp.array([1]), 6, layout="concat")[0]
    np.testing.assert_allclose(found, [0.8415, 0.0464, 0.0022, 0.5403, 0.9989, 1.0], atol=1e-4)
    # tensor2tensor's exponents run from 0 to 1, so that the last sine turns once in 2π·base.
    last = attention.sinusoidal(jnp.array([5000]), 6, layout="concat", denominator="half_minus_one")[0, 2]
    np.testing.assert_allclose(last, math.sin(0.5), atol=1e-6)


def test_products_depend_on_the_distance_alone():
    """A product of codes depends on the distance alone: Σ_t cos(Δ θ_t)."""
    code = attention.sinusoidal(jnp.arange(50), 16)
    gram = np.asarray(code @ code.T)
    for distance in (0, 1, 7):
        np.testing.assert_allclose(np.diag(gram, distance), gram[0, distance], atol=1e-5)


def test_learned_scale():
    record = attention.build("encoding", "sinusoidal(learned_scale=True)")
    np.testing.assert_allclose(starts("sinusoidal(learned_scale=True)")["scale"], D**-0.5)
    assert record.init is None


def test_dimension():
    with pytest.raises(ValueError, match="dim must be >= 1, got 0"):
        attention.sinusoidal(jnp.array([1]), 0)
