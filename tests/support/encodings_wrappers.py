"""Rows of the wrappers, for the table of the encodings."""

import jax

from attention.records import Call
from tests.support.encoding_row import Row

TRAINING = Call(train=True, rng=jax.random.key(3))

ROWS = {
    "randomized": Row("randomized", options={"inner": "alibi", "max_position": "60"}, max_length=2048),
    "shift": Row("shift(inner=rope)", options={"inner": "alibi", "most": "20"}, call=TRAINING),
    "cape": Row(
        "cape",
        options={"inner": "alibi", "global_shift": "40.0", "local_shift": "0.0", "scale": "2.0"},
        call=TRAINING,
    ),
    "every": Row("every", options={"inner": "alibi", "layers": "2"}, call=Call(layer=2)),
}
