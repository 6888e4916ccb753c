"""Evidence of positive scores over their sum."""

import math

import attention
from tests.support.evidence import NormalizerEvidence
from tests.support.normalizers import case
from tests.support.reference_normalizers import ratio
from tests.support.row import Row

MAPS = {
    "softplus": lambda s: math.log1p(math.exp(s)),
    "relu": lambda s: max(s, 0.0),
    "elu1": lambda s: s + 1 if s > 0 else math.exp(s),
}


def l1_positive(row, mask, map="softplus"):
    return ratio(row, mask, MAPS[map])


def oracles():
    from tests.support import oracle_normalizers as o

    def witness(name, g):
        return o.row(lambda s, w: attention.l1_positive(s, w, map=name), lambda z: o.F.normalize(g(z), p=1, dim=-1))

    return {
        "torch softplus, F.normalize(p=1)": witness("softplus", o.F.softplus),
        "torch relu, F.normalize(p=1)": witness("relu", o.F.relu),
        "torch elu1, F.normalize(p=1)": witness("elu1", lambda z: o.F.elu(z) + 1),
    }


def picture():
    from tools.kinds.normalizer_weights import shown

    return shown("l1_positive", "l1_positive, softplus")


ROW = Row(
    "l1_positive",
    {"map": ("relu", "elu1")},
    NormalizerEvidence(
        (
            case("l1_positive", l1_positive),
            case("l1_positive(map=relu)", l1_positive, options={"map": "relu"}),
            case("l1_positive(map=elu1)", l1_positive, options={"map": "elu1"}),
        ),
        oracles,
        refused=(({"map": "exp"}, "map must be one of softplus, relu, elu1, got 'exp'"),),
        errors={"l1_positive(map=exp)": "wants one of 'softplus', 'relu', 'elu1'"},
        picture=picture,
    ),
)
