"""Evidence of clipped softmax."""

import numpy as np

import attention
from tests.support.evidence import Law, NormalizerEvidence
from tests.support.normalizers import case
from tests.support.reference_normalizers import softmax
from tests.support.row import Row


def clipped(row, mask, gamma=-0.03, zeta=1.0, alpha=None):
    low = gamma if alpha is None else -alpha / max(sum(mask), 1)
    return np.array([min(max((zeta - low) * p + low, 0.0), 1.0) if m else 0.0 for p, m in zip(softmax(row, mask), mask)])


def oracles():
    from tests.support import oracle_normalizers as o

    soft = lambda z: o.torch.softmax(z, -1)
    return {
        "torch.clamp, γ and ζ": o.row(
            lambda s, w: attention.clipped(s, w, gamma=-0.1, zeta=1.05), lambda z: o.torch.clamp(1.15 * soft(z) - 0.1, 0, 1)
        ),
        "torch.clamp, α": o.row(
            lambda s, w: attention.clipped(s, w, gamma=None, alpha=0.5),
            lambda z: o.torch.clamp((1 + 0.5 / len(z)) * soft(z) - 0.5 / len(z), 0, 1),
        ),
    }


BY_LENGTH = {"gamma": None, "alpha": 0.5, "zeta": 1.1}
CASES = (
    case("clipped", clipped, 0.12406042, 0.38877964, 0.06344237, 0, 0.31286777),
    case("clipped(gamma=None, alpha=0.5, zeta=1.1)", clipped, options=BY_LENGTH),
)
LAWS = {
    "γ = 0 is softmax": Law(lambda s, w: attention.clipped(s, w, gamma=0.0), lambda s, w: attention.softmax(s, w)),
    "α = 0 is softmax": Law(lambda s, w: attention.clipped(s, w, gamma=None, alpha=0.0), lambda s, w: attention.softmax(s, w)),
}
ERRORS = {
    "clipped(gamma=0.1)": "gamma must be a finite number <= 0, got 0.1",
    "clipped(zeta=0.5)": "zeta must be a finite number >= 1, got 0.5",
    "clipped(alpha=1)": "give gamma or alpha, and the other as None, got gamma=-0.03 and alpha=1.0",
    "clipped(gamma=None, alpha=-1)": "alpha must be a finite number >= 0, got -1.0",
}


def picture():
    from tools.kinds.normalizer_weights import shown

    return shown("clipped", "clipped, γ = -0.03, ζ = 1")


ROW = Row(
    "clipped",
    {"gamma": "-0.1", "zeta": "1.1", "alpha": "0.5, gamma=None"},
    NormalizerEvidence(CASES, oracles, laws=LAWS, errors=ERRORS, picture=picture),
)
