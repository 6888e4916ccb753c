"""Evidence of blocks that see themselves and their neighbours."""

import hypothesis.strategies as st

from tests.support.evidence import MaskCase, MaskEvidence
from tests.support.row import Row


def block_local(i, j, size, neighbours=0):
    first = i - i % size
    return first - neighbours * size <= j < first + (1 + neighbours) * size


ROW = Row(
    "block_local(size=5)",
    {"size": "4", "neighbours": "1"},
    MaskEvidence(
        (
            MaskCase("block_local(size=5)", lambda p: block_local(p.i, p.j, 5), {24, 32}),
            MaskCase("block_local(size=3, neighbours=1)", lambda p: block_local(p.i, p.j, 3, 1), {32}),
        ),
        counts={"block_local(size=6)": 4 * 6**2, "block_local(size=6, neighbours=1)": (4 + 2 * 3) * 6**2},
        equal={
            "block_local(size=24)": "full",
            "block_local(size=12, neighbours=1)": "full",
            "block_local(size=1)": "local(window=0)",
            "block_local(size=1, neighbours=1)": "local(window=2)",
            "block_local(size=6) & block_local(size=4)": "block_local(size=6) & block_local(size=4) & local(window=6)",
        },
        drawn=st.builds("block_local(size={}, neighbours={})".format, st.integers(1, 12), st.integers(0, 1)),
        errors={
            "block_local(size=0)": "size must be >= 1, got 0",
            "block_local(neighbours=2)": "option 'neighbours' wants one of 0, 1",
        },
    ),
)
