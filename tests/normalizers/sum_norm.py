"""Evidence of scores over their sum."""

import jax.numpy as jnp
import numpy as np

import attention
from tests.support.evidence import NormalizerEvidence
from tests.support.normalizers import case
from tests.support.reference_normalizers import sum_norm
from tests.support.row import Row


def oracles():
    from tests.support import oracle_normalizers as o

    absolute = lambda s, w: attention.sum_norm(s, w, form="absolute")
    return {
        "torch: s / Σ s": o.row(attention.sum_norm, lambda z: z / z.sum(), shift=4.0),
        "torch F.normalize(p=1)": o.row(absolute, lambda z: o.F.normalize(z, p=1, dim=-1)),
    }


ROW = Row(
    "sum_norm",
    {"form": "absolute", "epsilon": "100.0"},
    NormalizerEvidence(
        (
            case("sum_norm", sum_norm, 0.23255814, 0.46511628, 0.11627907, -0.23255814, 0.41860465, monotone=False),
            case("sum_norm(form=absolute)", sum_norm, options={"form": "absolute"}),
        ),
        oracles,
        refused=(({"form": "l1"}, "form must be 'signed' or 'absolute', got 'l1'"),),
        errors={
            "sum_norm(epsilon=0)": "epsilon must be a finite number > 0, got 0.0",
            "sum_norm(form=l1)": "wants one of 'signed', 'absolute'",
        },
    ),
)


def test_what_the_tutorials_slip_does():
    """Without a guard, scores that cancel explode; with it they stay finite."""
    weights = attention.sum_norm(jnp.array([1.0, -1.0, 1e-9]))
    assert np.abs(weights).max() <= 1.001e6
    np.testing.assert_allclose(attention.sum_norm(jnp.array([1.0, -3.0]), form="absolute"), [0.25, -0.75], atol=1e-6)
