"""Rows of the rotary encodings, for the table of the encodings."""

from tests.support.encoding_row import H, N, Row

ROWS = {
    "p_rope": Row("p_rope", options={"share": "0.5", "base": "50.0", "layout": "half"}),
    "xpos": Row("xpos", options={"base": "50.0", "scale_base": "20.0", "layout": "half"}, mask="causal"),
    "fope": Row(
        "fope(base=50)",
        (0, 2 * N * 3 * 2),
        "other",
        options={"base": "50.0", "train_length": "100", "gain": "0.6", "layout": "interleaved"},
    ),
    "pope": Row("pope", (0, N * H), options={"base": "50.0"}),
}
