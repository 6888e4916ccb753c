"""Evidence of α-entmax."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np

import attention
from tests.support.evidence import Law, NormalizerEvidence
from tests.support.helpers import DIMS, jit, normal
from tests.support.normalizers import ENTMAX15, ENTMAX15_GRADIENT, HEADS, case, check_long_rows
from tests.support.reference_normalizers import bisected
from tests.support.row import Row


def entmax(row, mask, alpha=1.5):
    """By bisection in exact arithmetic's place: 200 halvings of float64."""
    power = lambda r: max(r, 0.0) ** (1 / (alpha - 1))
    return bisected(row, mask, alpha - 1, power, power)


def oracles():
    from tests.support import oracle_normalizers as o

    alphas = (1.1, 1.25, 1.5, 1.75, 2.0, 2.5)
    bisect = lambda z, a: o.entmax.entmax_bisect(z, a, dim=-1, n_iter=60)
    fixed = lambda alpha: o.row(lambda s, w: attention.entmax(s, w, alpha=alpha), lambda z: bisect(z, alpha))
    return {
        "entmax_bisect, by s and α": o.row(
            lambda s, w, a: attention.entmax(s, w, alpha=a), bisect, np.resize(alphas, (o.R, 1))
        ),
        "entmax_bisect, α = 1.1": fixed(1.1),
        "entmax_bisect, α = 1.25": fixed(1.25),
        "entmax_bisect, α = 1.5": fixed(1.5),
        "entmax_bisect, α = 1.75": fixed(1.75),
        "entmax_bisect, α = 2.0": fixed(2.0),
        "entmax_bisect, α = 2.5": fixed(2.5),
    }


CASES = (
    case(
        "entmax(alpha=learned)",
        entmax,
        of={"alpha": lambda own, n: 1 + 1 / (1 + math.exp(-own["alpha_logit"][n]))},
        count=HEADS,
    ),
    case("entmax", entmax, *ENTMAX15, options={"alpha": 1.5}, gradient=ENTMAX15_GRADIENT),
    case("entmax(alpha=1.25)", entmax, 0.11304829, 0.47424126, 0.04280303, 0.00004065, 0.36986677, options={"alpha": 1.25}),
    case("entmax(alpha=1.75)", entmax, 0, 0.58396502, 0, 0, 0.41603498, options={"alpha": 1.75}),
    # Above α = 2 a key at the edge of the support is infinitely sensitive, and float32 sees it moved.
    case(
        "entmax(alpha=2.5)",
        entmax,
        *(0, 0.64190503, 0, 0, 0.35809497),
        options={"alpha": 2.5},
        tolerance=1e-3,
    ),
)
LAWS = {
    "α = 2 is sparsemax": Law(lambda s, w: attention.entmax(s, w, alpha=2.0), lambda s, w: attention.sparsemax(s, w)),
    "α = 1.5 is entmax15": Law(lambda s, w: attention.entmax(s, w, alpha=1.5), lambda s, w: attention.entmax15(s, w)),
    "α near 1 is softmax": Law(lambda s, w: attention.entmax(s, w, alpha=1.0001), lambda s, w: attention.softmax(s, w), 1e-3),
    "a large α is hard": Law(lambda s, w: attention.entmax(s, w, alpha=200.0), lambda s, w: attention.hard(s, w), 1e-2),
}


def picture():
    from tools.kinds.normalizer_weights import shown

    return shown("entmax(alpha=1.25)", "entmax, α = 1.25")


ROW = Row(
    "entmax(alpha=learned)",
    {"alpha": ("1.25", "2")},
    NormalizerEvidence(
        CASES,
        oracles,
        refused=(
            ({"alpha": 1.0}, "alpha must be a finite number > 1"),
            ({"alpha": np.full((2, 3), 1.5, np.float32)}, "want size 1 along axis -1, got 3"),
        ),
        laws=LAWS,
        errors={
            "entmax(alpha=1)": r"alpha must be a finite number > 1 \(softmax is the limit at 1\), got 1.0",
            "entmax(alpha=0.5)": "alpha must be a finite number > 1",
        },
        picture=picture,
    ),
)


def test_long_rows():
    for alpha in (1.3, 1.9):
        check_long_rows(functools.partial(attention.entmax, alpha=alpha), functools.partial(entmax, alpha=alpha))


def test_an_order_for_each_long_row():
    """Many of them at once are each on its own."""
    scores, alphas = normal(0, 5, 300), np.float32([1.05, 1.3, 1.5, 2.0, 2.2])
    together = jit(lambda s, a: attention.entmax(s, alpha=a))(scores, alphas[:, None])
    for row, alpha, weights in zip(scores, alphas, together):
        wanted = entmax(np.asarray(row, np.float64), [True] * 300, alpha=float(alpha))
        np.testing.assert_allclose(weights, wanted, atol=1e-5)


def test_an_array_of_orders_out_of_range_is_nan():
    weights = attention.entmax(jnp.ones((2, 3)), alpha=jnp.array([[0.9], [1.5]]))
    assert np.isnan(weights[0]).all()
    np.testing.assert_allclose(weights[1], [1 / 3] * 3, atol=1e-6)


def test_start():
    start = attention.build("normalizer", "entmax(alpha=learned)").init(jax.random.key(0), DIMS)
    np.testing.assert_array_equal(start["alpha_logit"], np.zeros(HEADS))
