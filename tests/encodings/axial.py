"""Evidence of positions as pairs of coordinates."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import attention
from attention.records import Call
from tests.support.encodings import D, coded, embedded, starts
from tests.support.evidence import EncodingCase, EncodingEvidence
from tests.support.helpers import DIMS, init, jit, normal
from tests.support.row import Row


def code(i, dim, params):
    u, w = params["columns"], params["rows"]
    column, row = u[i % len(u)], w[i // len(u)]
    return column + row if u.shape[1] == dim else np.concatenate([column, row])


def oracles():
    from tests.support.encoding_oracles import A, F, torch
    from tests.support.witness import Witness

    def theirs(columns, rows, p):
        return torch.cat([F.embedding(p % 4, columns), F.embedding(torch.div(p, 4, rounding_mode="floor"), rows)], -1)

    inputs = (A.normal(0, 4, 3), A.normal(1, 5, 2), A.positions(20))
    return {"torch F.embedding": Witness(lambda u, w, p: attention.axial_positions(u, w, p), theirs, inputs)}


ROW = Row(
    "axial",
    {"lengths": "(5, 4)", "form": "sum"},
    EncodingEvidence(
        (EncodingCase("axial", coded(code)), EncodingCase("axial(form=sum)", coded(code))),
        oracles,
        (7 * D, 0),
        moved="other",
        max_length="dims",
        whole=True,
        errors={
            "axial(lengths=(3,))": r"lengths must be None or \(L1, L2\), both >= 1, got \(3,\)",
            "axial(lengths=(3, 0))": r"lengths must be None or \(L1, L2\), both >= 1, got \(3, 0\)",
            "axial(form=product)": "'form' wants one of 'concat', 'sum'",
        },
    ),
)


@pytest.mark.parametrize("form", ["concat", "sum"])
def test_every_position_has_its_code(form):
    record = attention.build("encoding", f"axial(lengths=(3, 4), form={form})")
    params = init(record)
    codes = record.embed(params, jnp.zeros((12, D)), None, Call())
    for i in range(12):
        u, w = params["columns"][i % 3], params["rows"][i // 3]
        np.testing.assert_allclose(codes[i], u + w if form == "sum" else np.concatenate([u, w]), rtol=1e-6)
    assert len(np.unique(codes, axis=0)) == 12
    used = jax.grad(lambda p: record.embed(p, jnp.zeros((10, D)), None, Call()).sum())(params)
    np.testing.assert_array_equal(used["columns"][:, 0], np.array([4, 3, 3]))
    np.testing.assert_array_equal(used["rows"][:, 0], np.array([3, 3, 3, 1]))
    odd = init(record, DIMS._replace(model_dim=7))
    assert (odd["columns"].shape[1], odd["rows"].shape[1]) == ((7, 7) if form == "sum" else (4, 3))
    assert record.max_length == 12


@pytest.mark.parametrize("length", [1, 2, 9, 10, 47, 48])
def test_it_covers_the_longest_text(length):
    params = starts("axial", max_length=length)
    first, second = params["columns"].shape[0], params["rows"].shape[0]
    assert length <= first * second < length + first
    assert 0 <= first - second <= 1
    assert embedded("axial", jnp.zeros((length, D)), params=params).shape == (length, D)


def test_past_the_end():
    record = attention.build("encoding", "axial(lengths=(2, 3))")
    params, x = init(record), normal(0, 1, 6, D)
    with pytest.raises(ValueError, match="axial has 6 positions, got a sequence of 7"):
        jit(lambda x: record.embed(params, x, None, Call()))(normal(0, 1, 7, D))
    for outside in (6, -1, 1_000_000):
        where = jnp.array([[0, 1, 2, 3, 5, outside]])
        with pytest.raises(ValueError, match=f"the table has 6 positions, got position {outside}"):
            record.embed(params, x, None, Call(where, where))
        found = jit(lambda x, p: record.embed(params, x, None, Call(p, p)))(x, where)
        np.testing.assert_array_equal(np.isnan(found).any(-1), [[False] * 5 + [True]])
    with pytest.raises(ValueError, match=r"axial needs its lengths, or Dims\.max_length"):
        starts("axial", max_length=None)
    with pytest.raises(ValueError, match="form='concat' shares the channels between two tables, got 1"):
        record.shared(jax.random.key(0), DIMS._replace(model_dim=1))
