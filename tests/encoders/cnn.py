"""Evidence of convolutions of several widths."""

import jax
import jax.numpy as jnp
import numpy as np

from tests.support.encoders import D, batch, built, witness
from tests.support.evidence import EncoderCase, EncoderEvidence
from tests.support.row import Row


def reference(widths):
    """Every tap of every window by itself; zeros beyond the text."""

    def apply(rows, sentences, params):
        D, found = rows.shape[1], []
        for t in range(len(rows)):
            maps = []
            for w in widths:
                layer = params[f"width_{w}"]
                total = layer["bias"].copy()
                for k in range(w):
                    at = t + k - (w - 1) // 2
                    if 0 <= at < len(rows):
                        total += rows[at] @ layer["kernel"][k * D : (k + 1) * D]
                maps.append(np.maximum(total, 0))
            found.append(np.concatenate(maps))
        return found

    return apply


def oracles():
    from tests.support.oracle_packages import F, torch

    def theirs(widths):
        def maps(rows, params, w):
            kernel = params[f"width_{w}"]["kernel"].reshape(w, D, -1).permute(2, 1, 0)
            around = F.pad(rows.T[None], ((w - 1) // 2, w // 2))
            return F.relu(F.conv1d(around, kernel, params[f"width_{w}"]["bias"]))[0].T

        return lambda texts, params: [torch.cat([maps(rows, params, w) for w in widths], dim=-1) for rows in texts]

    return {
        "torch.conv1d": witness("cnn(filters=4)", theirs((3, 4, 5))),
        "torch.conv1d, widths 1 and 2": witness("cnn(widths=(1, 2), filters=4)", theirs((1, 2))),
    }


CASES = (
    EncoderCase("cnn(filters=4)", reference((3, 4, 5)), 4 * (12 * D + 3), 12),
    EncoderCase("cnn(widths=(1, 2), filters=5)", reference((1, 2)), 5 * (3 * D + 2), 10),
)
REFUSED = (
    ({"pooling": "cls"}, "encoder=cnn with pooling=cls: .* no state that has seen all of the text"),
    ({"encoding": "rope"}, "encoder=cnn with encoding=rope: this encoding acts on queries"),
)
ERRORS = {
    "cnn(widths=())": "widths must hold one width or more",
    "cnn(widths=(3, 0))": "widths must be >= 1",
    "cnn(widths=(3, 3))": "widths must differ",
    "cnn(filters=0)": "filters must be >= 1, got 0",
}
ROW = Row("cnn(filters=4)", {"widths": "(2, 3, 5)", "filters": "5"}, EncoderEvidence(CASES, oracles, "max", REFUSED, ERRORS))


def test_an_even_window_looks_ahead():
    """A window of two holds a token and the next one, and nothing beyond the text."""
    _, params, run = built("cnn(widths=(1, 2), filters=5)")
    params = jax.tree.map(jnp.zeros_like, params)
    params["width_2"]["kernel"] = params["width_2"]["kernel"].at[D, 0].set(1.0)  # the first channel of the second token
    x, valid, _ = batch()
    states, _ = run(params, x, valid)
    np.testing.assert_allclose(states[0, :8, 5], np.maximum(x[0, 1:9, 0], 0), atol=1e-6)
    np.testing.assert_array_equal(states[2, 3:, 5], 0)
