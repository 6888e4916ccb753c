"""Rows of the table of encodings: biases that are added to the scores."""

from tests.support.encoding_row import N, Row

W = 6  # of the networks

ROWS = {
    "kerple": Row("kerple", (0, 2 * N), directed=False, options={"form": "power"}),
    "sandwich": Row("sandwich", directed=False, options={"dim": "16"}),
    "fire": Row(
        f"fire(width={W}, threshold=26)",
        (0, 2 * W + (W + 1) * N + 2),
        moved="other",
        directed=False,
        options={"width": "7", "bidirectional": "False", "directed": "True", "threshold": "4", "shared": "True"},
    ),
    "dape": Row(
        f"dape(width={W})",
        (0, 2 * N + (2 * N + 1) * W + (W + 1) * N),
        directed=False,
        options={"inner": "alibi", "width": "7"},
    ),
    "table": Row("table(window=20)", (0, 39 * N), options={"window": "7", "shared": "True"}),
    "cpb": Row(
        f"cpb(hidden={W})",
        (0, 2 * W + W * N),
        options={"hidden": "7", "form": "nlp", "window": "9", "shared": "True"},
    ),
    "tisa": Row("tisa(kernels=2)", (0, 3 * 2 * N), options={"kernels": "3"}),
    "gaussian": Row("gaussian", (0, 2 * N), directed=False),
}
