"""Evidence of TUPE."""

import numpy as np
import pytest

from tests.support import reference
from tests.support.encodings import D, L, N, added, pairs, past_the_table, starts
from tests.support.evidence import EncodingCase, EncodingEvidence
from tests.support.row import Row


def form(relative="none", untie_cls=False):
    def terms(q, k, params, i, j, scale, x, text):
        first, table = int(untie_cls), params["table"]
        codes = (table - table.mean(-1, keepdims=True)) / np.sqrt(table.var(-1, keepdims=True) + 1e-5)
        codes = codes * params["gain"] + params["offset"]
        product = lambda n, a, b: scale * (codes[a] @ params["query"][:, n]) @ (codes[b] @ params["key"][:, n])
        t5 = lambda n, bucket: params["relative"][bucket, n] if relative == "t5" else 0.0

        def term(n, a, b):
            if untie_cls and i[a] == 0:
                return product(n, 0, 0) + t5(n, 16)
            if untie_cls and j[b] == 0:
                return product(n, 1, 1) + t5(n, 32)
            return product(n, i[a] + first, j[b] + first) + t5(n, reference.t5_bucket(int(j[b] - i[a])))

        return pairs(q, k, term)

    return added(terms)


def oracles():
    from tests.support.encoding_oracles import QKV, C, F, T5Attention, attends, from_terms, torch
    from tests.support.witness import Witness

    names = ("table", "gain", "offset", "query", "key", "relative")

    def witness(untied):
        bucket = T5Attention._relative_position_bucket(torch.arange(C.T) - torch.arange(C.T)[:, None], num_buckets=32)
        if untied:
            bucket[:, 0], bucket[0] = 32, 16

        def theirs(query, key, value, table, gain, offset, to_query, to_key, relative):
            codes = F.layer_norm(table, (C.D,), gain, offset)[: C.T + untied]
            bias = torch.einsum("id,dnh,je,enh->nij", codes, to_query, codes, to_key)
            if untied:
                first, others, bias = bias[:, 0, 0], bias[:, 1, 1], bias[:, 1:, 1:].clone()
                bias[:, :, 0], bias[:, 0, :] = others[:, None], first[:, None]
            scale = (2 * C.H) ** -0.5
            terms = lambda q, k: bias + relative[bucket].moveaxis(-1, 0) / scale
            return from_terms(terms, scale=scale)(query, key, value)

        own = [C.normal(20, C.L + untied, C.D), 1 + C.normal(21, C.D), C.normal(22, C.D)]
        own += [C.normal(seed, C.D, C.N, C.H, scale=0.2) for seed in (23, 24)]
        own += [C.normal(25, 32 + untied, C.N)]
        return Witness(attends(f"tupe(relative=t5, untie_cls={bool(untied)})", names), theirs, (*QKV, *own), 1e-10)

    return {
        "torch F.layer_norm, T5Attention, untied": witness(1),
        "torch F.layer_norm, T5Attention": witness(0),
    }


def picture():
    from tools.kinds.encoding_maps import Image, added, rows_of

    tied, untied = added("tupe")[0], added("tupe(untie_cls=True)")[0]
    return Image("head 1", tied), Image("untie_cls, first 12 tokens", untied[:12, :12]), rows_of("rows of head 1", tied)


ROW = Row(
    "tupe(relative=t5, untie_cls=True)",
    {"relative": "none", "untie_cls": "False"},
    EncodingEvidence(
        (
            EncodingCase("tupe(relative=t5, untie_cls=True)", scores=form("t5", True)),
            EncodingCase("tupe", scores=form()),
            EncodingCase("tupe(relative=t5)", scores=form("t5")),
            EncodingCase("tupe(untie_cls=True)", scores=form(untie_cls=True)),
        ),
        oracles,
        ((L + 1) * D + 2 * D * D + 2 * D + 33 * N, 0),
        moved="other",
        max_length="dims",
        terms=2,
        whole=True,
        picture=picture,
        errors={"tupe(relative=alibi)": "'none', 't5'", "tupe(untie_cls=1)": "True or False, got 1"},
    ),
)


@pytest.mark.parametrize("spec", ["tupe", "tupe(untie_cls=True)"])
def test_past_the_table(spec):
    assert past_the_table(spec, "full", "position")[-1]


def test_start():
    np.testing.assert_allclose(starts("tupe")["table"].std(), 0.02, rtol=0.1)
