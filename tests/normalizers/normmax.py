"""Evidence of α-normmax."""

import jax.numpy as jnp

import attention
from tests.support.evidence import Law, NormalizerEvidence
from tests.support.normalizers import case, check_long_rows
from tests.support.reference_normalizers import bisected
from tests.support.row import Row


def normmax(row, mask, alpha=2.0):
    power = lambda exponent: lambda r: max(r, 0.0) ** exponent
    return bisected(row, mask, 1.0, power(alpha / (alpha - 1)), power(1 / (alpha - 1)))


def oracles():
    from tests.support import oracle_normalizers as o

    def witness(alpha):
        theirs = lambda z: o.entmax.normmax_bisect(z, alpha, dim=-1, n_iter=60)
        return o.row(lambda s, w: attention.normmax(s, w, alpha=alpha), theirs)

    return {
        "entmax.normmax_bisect, α = 1.5": witness(1.5),
        "entmax.normmax_bisect, α = 2.0": witness(2.0),
        "entmax.normmax_bisect, α = 3.0": witness(3.0),
    }


def _equal_shares(scores, where):
    weights = attention.normmax(scores, where, alpha=1e4)
    return jnp.where(weights > 0, 1 / (weights > 0).sum(-1, keepdims=True), 0)


LAWS = {
    "a large α gives the largest keys equal shares": Law(lambda s, w: attention.normmax(s, w, alpha=1e4), _equal_shares, 1e-2),
}


def picture():
    from tools.kinds.normalizer_weights import shown

    return shown("normmax", "normmax, α = 2")


ROW = Row(
    "normmax",
    {"alpha": "1.5"},
    NormalizerEvidence(
        (
            case("normmax", normmax, 0, 0.57142857, 0, 0, 0.42857143),
            case("normmax(alpha=1.5)", normmax, options={"alpha": 1.5}),
        ),
        oracles,
        laws=LAWS,
        errors={"normmax(alpha=1)": "alpha must be a finite number > 1, got 1.0"},
        picture=picture,
    ),
)


def test_long_rows():
    check_long_rows(attention.normmax, normmax)
