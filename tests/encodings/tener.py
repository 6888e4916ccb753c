"""Evidence of TENER's relative positions."""

import jax.numpy as jnp
import numpy as np
import pytest

import attention
from attention.records import Call
from tests.support import reference
from tests.support.encodings import D, H, N, added, built, pairs, starts
from tests.support.evidence import EncodingCase, EncodingEvidence
from tests.support.helpers import normal
from tests.support.row import Row


def terms(q, k, params, i, j, scale, x, text):
    def term(n, a, b):
        code = reference.sinusoidal(int(i[a] - j[b]), q.shape[-1], layout="concat")
        return params["u"][n] @ k[b, n] + (q[a, n] + params["v"][n]) @ code

    return pairs(q, k, term)


def oracles():
    from tests.support.encoding_oracles import QKV, C, distances, torch
    from tests.support.witness import FLOAT32, Witness

    def theirs(query, key, value, u, v):
        code = distances(C.T - 1, -C.T)(C.H)  # of T-1, ..., 1-T
        index = C.T - 1 - (torch.arange(C.T)[:, None] - torch.arange(C.T))
        terms = torch.einsum("bjnh,nh->bnj", key, u)[:, :, None]
        terms = terms + torch.einsum("binh,ijh->bnij", query + v, code[index])
        scores = torch.einsum("binh,bjnh->bnij", query, key) + terms
        return torch.einsum("bnij,bjnh->binh", torch.softmax(scores, -1), value)

    def ours(query, key, value, u, v):
        params = {"encoding": {"u": u, "v": v}}
        return attention.attend(query, key, value, encoding="tener", score="dot", params=params)

    inputs = (*QKV, C.normal(6, C.N, C.H), C.normal(7, C.N, C.H))
    return {"torch: table of distances, unscaled": Witness(ours, theirs, inputs, FLOAT32)}


ROW = Row("tener", {}, EncodingEvidence((EncodingCase("tener", scores=added(terms)),), oracles, (0, 2 * D)))


def test_the_function_is_what_the_record_adds():
    record, params = built("tener")
    query, key, at = normal(0, 2, 9, N, H), normal(1, 2, 9, N, H), jnp.arange(9)
    call = Call(at, at, consecutive=True)
    bias = record.bias(params, *record.prepare(params, None, query, key, call), call)
    np.testing.assert_allclose(attention.tener_terms(query, key, at, at, **params), bias, atol=1e-5)


def test_odd_dimensions():
    with pytest.raises(ValueError, match="the dimension of a head must be even, got 7"):
        starts("tener", head_dim=7)
