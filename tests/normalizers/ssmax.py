"""Evidence of scalable softmax."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import attention
from tests.support.evidence import Law, NormalizerEvidence
from tests.support.helpers import DIMS, normal
from tests.support.normalizers import HEADS, case, own
from tests.support.reference_normalizers import ssmax
from tests.support.row import Row


def oracles():
    from tests.support import oracle_normalizers as o

    ours = lambda s, w, k, b: attention.ssmax(s, w, kappa=k, bias=b)
    return {"scalable_softmax, by s, κ and b": o.row(ours, o.ssmax, o.positive(5), o.positive(6))}


CASES = (
    case("ssmax(bias=True)", ssmax, of={"kappa": own("kappa"), "bias": own("bias")}, count=2 * HEADS),
    case("ssmax", ssmax, *(0.17557889, 0.35077562, 0.12422064, 0.04399042, 0.30543443),
         call={"kappa": 0.43}, of={"kappa": own("kappa")}, count=HEADS),
    case("ssmax(kappa=0.43)", ssmax, options={"kappa": 0.43}),
)  # fmt: skip
LAWS = {
    "with κ = 1 / log n it is softmax": Law(
        lambda s, w: attention.ssmax(s, jnp.ones_like(w), kappa=1 / np.log(9)), lambda s, w: attention.softmax(s), 1e-5
    ),
}


def picture():
    from tools.kinds.normalizer_weights import shown

    return shown("ssmax(kappa=1.0)", "ssmax, κ = 1, n = 5")


ROW = Row(
    "ssmax(bias=True)",
    {"kappa": "0.43", "bias": "False"},
    NormalizerEvidence(CASES, oracles, laws=LAWS, picture=picture),
)


def test_start():
    """κ at softmax for the training length, which has to be known."""
    start = lambda dims: attention.build("normalizer", "ssmax(bias=True)").init(jax.random.key(0), dims)
    np.testing.assert_allclose(start(DIMS)["kappa"], np.full(HEADS, 1 / np.log(48)), rtol=1e-6)
    np.testing.assert_array_equal(start(DIMS)["bias"], np.zeros(HEADS))
    with pytest.raises(ValueError, match="needs the training length"):
        start(DIMS._replace(max_length=None))


def test_it_multiplies():
    """κ added or subtracted would cancel: the weights have to move with it."""
    scores = normal(0, 6, 9, scale=2.0)
    weights = [attention.ssmax(scores, kappa=kappa) for kappa in (0.2, 0.4)]
    assert np.abs(weights[0] - weights[1]).max() > 0.05
