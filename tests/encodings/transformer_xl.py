"""Evidence of Transformer-XL's relative positions."""

from types import SimpleNamespace

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
    D = len(params["kernel"])

    def term(n, a, b):
        code = reference.sinusoidal(int(i[a] - j[b]), D, layout="concat") @ params["kernel"][:, n]
        return scale * (params["u"][n] @ k[b, n] + (q[a, n] + params["v"][n]) @ code)

    return pairs(q, k, term)


def oracles():
    from tests.support.encoding_oracles import QKV, C, attends, distances, torch
    from tests.support.encoding_oracles import XLNetRelativeAttention as XLNet
    from tests.support.witness import FLOAT32, Witness

    def theirs(query, key, value, kernel, u, v):
        of = SimpleNamespace(
            r_w_bias=u, r_r_bias=v, scale=C.H**-0.5, dropout=torch.nn.Identity(), rel_shift_bnij=XLNet.rel_shift_bnij
        )
        rows = torch.einsum("rd,dnh->rnh", distances(C.T, -C.T)(C.D), kernel)[:, None].expand(-1, C.B, -1, -1)
        query, key, value = (each.transpose(0, 1) for each in (query, key, value))
        return XLNet.rel_attn_core(of, query, key, value, rows).transpose(0, 1)

    own = (C.normal(5, C.D, C.N, C.H, scale=0.2), C.normal(6, C.N, C.H), C.normal(7, C.N, C.H))
    ours = attends("transformer_xl", ("kernel", "u", "v"))
    return {"transformers XLNet rel_attn_core": Witness(ours, theirs, (*QKV, *own), FLOAT32)}


def picture():
    from tools.kinds.encoding_maps import contents

    return contents("transformer_xl")


ROW = Row(
    "transformer_xl",
    {},
    EncodingEvidence((EncodingCase("transformer_xl", scores=added(terms)),), oracles, (0, D * D + 2 * D), picture=picture),
)


def test_the_function_is_what_the_record_adds():
    record, params = built("transformer_xl")
    query, key, at = normal(0, 2, 9, N, H), normal(1, 2, 9, N, H), jnp.arange(9)
    call = Call(at, at, consecutive=True)
    bias = record.bias(params, *record.prepare(params, None, query, key, call), call)
    np.testing.assert_allclose(attention.transformer_xl_terms(query, key, at, at, **params), bias, atol=1e-5)


def test_odd_dimensions():
    with pytest.raises(ValueError, match="the model's dimension must be even, got 7"):
        starts("transformer_xl", model_dim=7)
