"""Rows of the absolute encodings and of the forms of tutorials, for the table of the encodings."""

from tests.support.encoding_row import D, L, N, Row
from tests.support.helpers import DIMS

ROWS = {
    "index": Row(
        "index(scale=0.05)",
        moved="other",
        options={"parity": "'odd'", "normalize": "True", "scale": "0.1", "combine": "concat"},
    ),
    "linear": Row("linear(scale=0.2)", (D, 0), "other", options={"scale": "0.5"}),
    "rel_matrix": Row(
        "rel_matrix",
        (0, N),
        directed=False,
        options={"form": "raw", "max_distance": "3, form='embedding'", "scale": "0.5"},
    ),
    "sin_half_period": Row(
        "sin_half_period",
        moved="other",
        options={"max_length": "20", "multi_frequency": "True", "scale": "0.5", "combine": "concat"},
    ),
    "sin_period_d": Row("sin_period_d", moved="other", options={"scale": "0.5"}),
    "sin_cos_sum": Row("sin_cos_sum", moved="other", options={"scale": "0.5", "combine": "concat"}),
    "learned_fourier": Row(
        "learned_fourier(hidden=5)",
        (D // 2 + D * 5 + 5 + 5 * D + D, 0),
        "other",
        options={"features": "8", "hidden": "5", "gamma": "3.0"},
    ),
    "complex_order": Row("complex_order", ((DIMS.vocab_size or 0) * D, 0), "other", options={"base": "50.0"}),
    "axial": Row("axial", (7 * D, 0), "other", options={"lengths": "(5, 4)", "form": "sum"}, max_length="dims"),
    "cpe": Row("cpe", (4 * D, 0), options={"width": "5", "causal": "True"}, by_position=False),
}
assert L == 48  # axial's 7 rows of 7
