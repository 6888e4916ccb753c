"""Evidence of Taylor softmax."""

import math

import attention
from tests.support.evidence import Law, NormalizerEvidence
from tests.support.normalizers import case
from tests.support.reference_normalizers import ratio
from tests.support.row import Row


def taylor(row, mask, order=2):
    return ratio(row, mask, lambda s: sum(s**m / math.factorial(m) for m in range(order + 1)))


def oracles():
    from tests.support import oracle_normalizers as o

    def witness(order):
        def theirs(z):
            u = sum(z**m / math.factorial(m) for m in range(order + 1))
            return u / u.sum()

        return o.row(lambda s, w: attention.taylor(s, w, order=order), theirs)

    return {"torch: polynomial of order 2": witness(2), "torch: polynomial of order 4": witness(4)}


LAWS = {
    "a high order of small scores is softmax": Law(
        lambda s, w: attention.taylor(s / 4, w, order=12), lambda s, w: attention.softmax(s / 4, w)
    ),
}
GOLDEN = (0.17799929, 0.35599858, 0.11569954, 0.03559986, 0.31470274)


def picture():
    from tools.kinds.normalizer_weights import shown

    return shown("taylor", "taylor, order 2")


ROW = Row(
    "taylor",
    {"order": "4"},
    NormalizerEvidence(
        (
            case("taylor", taylor, *GOLDEN, monotone=False),
            case("taylor(order=4)", taylor, options={"order": 4}, monotone=False),
        ),
        oracles,
        laws=LAWS,
        errors={"taylor(order=3)": "order must be even and >= 2, where the polynomial is positive, got 3"},
        picture=picture,
    ),
)
