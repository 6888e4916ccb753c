"""Evidence of hard attention."""

import attention
from tests.support.evidence import NormalizerEvidence
from tests.support.normalizers import case
from tests.support.reference_normalizers import by_row, hard, softmax
from tests.support.row import Row


def oracles():
    from tests.support import oracle_normalizer_layers as layers
    from tests.support import oracle_normalizers as o

    return {
        "x-transformers one_hot_straight_through": o.row(
            lambda s, w: attention.hard(s, w, temperature=0.6),
            lambda z: o.x_attend.one_hot_straight_through(z, temperature=0.6),
        ),
        "x-transformers hard": layers.x_transformers("hard", hard=True),
    }


ROW = Row(
    "hard",
    {"temperature": "2"},
    NormalizerEvidence(
        (case("hard", hard, 0, 1, 0, 0, 0, straight=by_row(softmax)),),
        oracles,
        ties=False,
        errors={"hard(temperature=-2)": "temperature must be a finite number > 0"},
    ),
)
