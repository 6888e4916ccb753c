"""Evidence of the bidirectional GRU."""

import operator

from tests.support.encoders import D, U, gru, packed, recurrent, witness
from tests.support.evidence import EncoderCase, EncoderEvidence
from tests.support.row import Row


def oracles():
    from tests.support.oracle_packages import torch

    return {
        "torch.nn.GRU, packed": witness("bigru", packed(torch.nn.GRU)),
        "torch.nn.GRU, packed, two layers": witness("bigru(layers=2, hidden=4)", packed(torch.nn.GRU, 2)),
    }


CASES = (
    EncoderCase("bigru", recurrent(gru), 2 * 3 * U * (D + U + 1)),
    EncoderCase(
        "bigru(layers=2, hidden=4, combine=sum)",
        recurrent(gru, 2, combine=operator.add),
        2 * 12 * (D + 5) + 2 * 12 * (4 + 5),
        4,
    ),
)
ROW = Row(
    "bigru",
    {"hidden": "5", "layers": "2", "combine": "sum"},
    EncoderEvidence(CASES, oracles, errors={"bigru(layers=0)": "layers must be >= 1, got 0"}),
)
