"""Evidence of 1.5-entmax."""

import attention
from tests.support.evidence import NormalizerEvidence
from tests.support.normalizers import ENTMAX15, ENTMAX15_GRADIENT, HEADS, case, check_long_rows, exp_of
from tests.support.reference_normalizers import entmax15
from tests.support.row import Row


def oracles():
    from tests.support import oracle_normalizers as o

    ours = lambda s, w, t: attention.entmax15(s, w, temperature=t)
    return {"entmax.entmax15, by s and τ": o.row(ours, lambda z, t: o.entmax.entmax15(z / t, dim=-1), o.positive(2))}


CASES = (
    case("entmax15(temperature=learned)", entmax15, of={"temperature": exp_of("log_temperature")}, count=HEADS),
    case("entmax15", entmax15, *ENTMAX15, gradient=ENTMAX15_GRADIENT),
    case("entmax15(temperature=0.5)", entmax15, options={"temperature": 0.5}),
)
ROW = Row(
    "entmax15(temperature=learned)",
    {"temperature": "2"},
    NormalizerEvidence(CASES, oracles, errors={"entmax15(temperature=0)": "temperature must be a finite number > 0"}),
)


def test_long_rows():
    check_long_rows(attention.entmax15, entmax15)
