"""Evidence of a table of distances within a window."""

import math

import jax.numpy as jnp
import numpy as np

import attention
from tests.support.encodings import N, biased, is_shared, starts
from tests.support.evidence import EncodingCase, EncodingEvidence
from tests.support.helpers import init, inputs
from tests.support.row import Row


def form(window):
    def bias(params, h, i, j, heads, last):
        return params["table"][i - j + window - 1][h] if abs(i - j) < window else math.nan

    return bias


def oracles():
    from tests.support.encoding_oracles import COUNTED, B, SwinRelativePositionBias, bias_of, torch

    def one_row_of_patches(distance, table):
        module = SwinRelativePositionBias(B.N, (1, B.T))
        bias = torch.func.functional_call(module, {"relative_position_bias_table": table}, ())
        return bias.permute(0, 2, 3, 1).expand(B.B, B.T, B.T, B.N)

    own = B.normal(1, 2 * B.T - 1, B.N)
    witness = bias_of(f"table(window={B.T})", one_row_of_patches, ("table",), own, positions=COUNTED)
    return {"transformers SwinRelativePositionBias, one row": witness}


def picture():
    from tools.kinds.encoding_maps import of_heads

    return of_heads("table(window=16)", heads=(1, 2))


ROW = Row(
    "table(window=20)",
    {"window": "7", "shared": "True"},
    EncodingEvidence(
        (
            EncodingCase("table(window=20)", scores=biased(form(20))),
            EncodingCase("table(window=60, shared=True)", scores=biased(form(60))),
        ),
        oracles,
        (0, 39 * N),
        whole=True,
        picture=picture,
        errors={"table(window=0)": "window must be >= 1, got 0"},
    ),
)


def _weights(encoding, mask="full", **options):
    query, key, value = inputs(T=9, S=9)
    return attention.attend(query, key, value, encoding=encoding, mask=mask, return_weights=True, **options)[1]


def test_the_window_is_a_mask():
    record = attention.build("encoding", "table(window=3)")
    params = init(record)
    found = _weights(record, params={"encoding": params})
    rows = params["table"]
    bias = np.zeros((1, N, 9, 9), np.float32)
    for i, j in np.ndindex(9, 9):
        bias[0, :, i, j] = rows[i - j + 2] if abs(i - j) < 3 else 0.0
    np.testing.assert_allclose(found, _weights("none", "local(window=4)", bias=jnp.asarray(bias)), atol=1e-6)
    assert np.isnan(attention.table_bias(jnp.array([3, -3]), rows)).all()
    both = _weights("table(window=3) + alibi(form=split_heads)", params={"encoding": {"0": params}})
    assert np.array_equal(both[0, 0] > 0, np.tri(9) * (np.abs(np.subtract.outer(range(9), range(9))) < 3))


def test_start():
    found = starts("table", num_heads=4000)["table"]
    np.testing.assert_allclose((found.mean(), found.std()), (0.0, 0.02), rtol=0.02, atol=1e-3)


def test_shared_by_the_layers():
    assert is_shared("table(shared=True)")
    assert not is_shared("table")
