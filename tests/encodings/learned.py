"""Evidence of a learned table of positions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import attention
from attention.records import Call
from tests.support.encodings import D, L, coded, idle_rows, starts
from tests.support.evidence import EncodingCase, EncodingEvidence
from tests.support.helpers import init, jit, normal
from tests.support.row import Row

ROW = Row(
    "learned",
    {"max_length": "20"},
    EncodingEvidence(
        (EncodingCase("learned", coded(lambda i, dim, params: params["table"][i])),),
        "a table is looked up: its reference says all",
        (L * D, 0),
        moved="other",
        max_length="dims",
        whole=True,
        errors={"learned(max_length=0)": "max_length must be None or >= 1, got 0"},
    ),
)


def test_every_position_has_a_row():
    """With a gradient where it is used, and no other."""
    assert idle_rows("learned") == {23, 24}


def test_past_the_end():
    record = attention.build("encoding", "learned(max_length=4)")
    params = init(record)
    assert params["table"].shape == (4, D)
    x = normal(0, 1, 5, D)
    with pytest.raises(ValueError, match="learned has 4 positions, got a sequence of 5"):
        record.embed(params, x, None, Call())
    with pytest.raises(ValueError, match="got a sequence of 5"):  # lengths are static under a trace too
        jit(lambda x: record.embed(params, x, None, Call()))(x)
    for outside in (4, -1):
        positions = jnp.array([[0, 1, 2, 3, outside]])
        with pytest.raises(ValueError, match=f"the table has 4 positions, got position {outside}"):
            record.embed(params, x, None, Call(positions, positions))
        found = jit(lambda x, p: record.embed(params, x, None, Call(p, p)))(x, positions)
        np.testing.assert_array_equal(np.isnan(found).any(-1), [[False] * 4 + [True]])
        with jax.debug_nans(False):
            gradient = jit(jax.grad(lambda t, p: jnp.nansum(attention.look_up_positions(t, p))))(params["table"], positions)
        np.testing.assert_array_equal(gradient[:, 0], [1, 1, 1, 1])
    np.testing.assert_array_equal(record.embed(params, x[:, :4], None, Call()), x[:, :4] + params["table"])
    with pytest.raises(ValueError, match=r"max_length, or Dims\.max_length"):
        starts("learned", max_length=None)
