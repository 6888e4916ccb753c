"""Evidence of spherical softmax."""

import attention
from tests.support.evidence import NormalizerEvidence
from tests.support.normalizers import case
from tests.support.reference_normalizers import ratio
from tests.support.row import Row


def spherical(row, mask):
    return ratio(row, mask, lambda s: s * s)


def oracles():
    from tests.support import oracle_normalizers as o

    return {"torch F.normalize squared": o.row(attention.spherical, lambda z: o.F.normalize(z, dim=-1) ** 2)}


ROW = Row("spherical", {}, NormalizerEvidence((case("spherical", spherical, monotone=False),), oracles))
