"""Evidence of the budget."""

import functools

import attention
from tests.support.evidence import Law, NormalizerEvidence
from tests.support.normalizers import case, check_long_rows
from tests.support.reference_normalizers import allowed
from tests.support.row import Row


def budget(row, mask, k=2.0):
    weights, open_ = [0.0] * len(row), allowed(row, mask)
    low, high = min((s for _, s in open_), default=0.0) - 1, max((s for _, s in open_), default=0.0)
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if sum(min(max(s - middle, 0), 1) for _, s in open_) >= k else (low, middle)
    for j, s in open_:
        weights[j] = min(max(s - low, 0.0), 1.0)
    return weights


def oracles():
    from tests.support import oracle_normalizers as o

    def witness(k):
        # With fewer than k keys there is no such point for them; ours then is all ones.
        theirs = lambda z: o.entmax.budget_bisect(z, k, dim=-1, n_iter=60) if len(z) > k else 0 * z + 1
        return o.row(lambda s, w: attention.budget(s, w, k=k), theirs)

    def box(z):
        """The nearest point with 0 <= p <= 1 and sum k; their root is good to 1e-5."""
        return o.jaxopt.projection.projection_box_section(z, (0 * z, 0 * z + 1, 0 * z + 1, 2.0))

    return {
        "entmax.budget_bisect, k = 1.0": witness(1.0),
        "entmax.budget_bisect, k = 2.0": witness(2.0),
        "entmax.budget_bisect, k = 3.5": witness(3.5),
        "jaxopt projection_box_section": o.unmasked(lambda s: attention.budget(s, k=2.0), box, tolerance=3e-5),
    }


LAWS = {"k = 1 is sparsemax": Law(lambda s, w: attention.budget(s, w, k=1.0), lambda s, w: attention.sparsemax(s, w))}


def picture():
    from tools.kinds.normalizer_weights import shown

    return shown("budget", "budget, k = 2")


ROW = Row(
    "budget",
    {"k": "1.5"},
    NormalizerEvidence(
        (case("budget", budget, 0.1, 1, 0, 0, 0.9), case("budget(k=1.5)", budget, options={"k": 1.5})),
        oracles,
        laws=LAWS,
        errors={"budget(k=0)": "k must be a finite number > 0, got 0.0"},
        picture=picture,
    ),
)


def test_long_rows():
    check_long_rows(functools.partial(attention.budget, k=3.5), functools.partial(budget, k=3.5), of_scores=True)
