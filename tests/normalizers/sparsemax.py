"""Evidence of sparsemax."""

import jax.numpy as jnp
import numpy as np

import attention
from tests.support.evidence import NormalizerEvidence
from tests.support.normalizers import HEADS, case, check_long_rows, exp_of
from tests.support.reference_normalizers import sparsemax
from tests.support.row import Row


def oracles():
    from tests.support import oracle_normalizers as o

    return {
        "entmax.sparsemax, by s and τ": o.row(
            lambda s, w, t: attention.sparsemax(s, w, temperature=t),
            lambda z, t: o.entmax.sparsemax(z / t, dim=-1),
            o.positive(1),
        ),
        "entmax.sparsemax_bisect": o.row(attention.sparsemax, lambda z: o.entmax.sparsemax_bisect(z, dim=-1)),
        "jaxopt projection_simplex": o.unmasked(attention.sparsemax, o.jaxopt.projection.projection_simplex),
    }


ROW = Row(
    "sparsemax(temperature=learned)",
    {"temperature": "2"},
    NormalizerEvidence(
        (
            case("sparsemax(temperature=learned)", sparsemax, of={"temperature": exp_of("log_temperature")}, count=HEADS),
            case("sparsemax", sparsemax, 0, 0.6, 0, 0, 0.4, gradient=[0, -1.5, 0, 0, 1.5]),
        ),
        oracles,
        errors={"sparsemax(temperature=-1)": "temperature must be a finite number > 0, got -1.0"},
    ),
)


def test_long_rows():
    check_long_rows(attention.sparsemax, sparsemax)


def test_margin():
    """A lead of 1 or more makes it one-hot, a smaller one does not."""
    np.testing.assert_array_equal(attention.sparsemax(jnp.array([1.0, 0.0, -0.5])), [1, 0, 0])
    np.testing.assert_allclose(attention.sparsemax(jnp.array([0.99, 0.0, -0.5])), [0.995, 0.005, 0], atol=1e-7)
