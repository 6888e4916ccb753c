"""Rows of the encodings that compare queries or keys with relative positions, or find positions in the content."""

from tests.support.encoding_row import D, H, L, N, Row

ROWS = {
    "transformer_xl": Row("transformer_xl", (0, D * D + 2 * D)),
    "music": Row("music", (0, L * D), options={"per_head": "False"}, mask="causal", max_length="dims"),
    "deberta": Row(
        "deberta(max_distance=16)",
        (2 * 8 * D, 2 * D * D),
        options={"max_distance": "24", "buckets": "none", "p2c": "paper"},
    ),
    "tupe": Row(
        "tupe(relative=t5, untie_cls=True)",
        ((L + 1) * D + 2 * D * D + 2 * D + 33 * N, 0),
        "other",
        options={"relative": "t5", "untie_cls": "True"},
        max_length="dims",
    ),
    "cope": Row(
        "cope(max_position=8)",
        (0, 8 * H),
        options={"max_position": "8", "scaling": "official", "direction": "both"},
        mask="causal",
        by_position=False,
    ),
    "fox": Row("fox", (0, N * (D + 1)), options={"direction": "both", "bias": "2.0"}, mask="causal", by_position=False),
    "tener": Row("tener", (0, 2 * D)),
}
