"""Evidence of Music Transformer's relative attention."""

import jax.numpy as jnp
import numpy as np

import attention
from attention.records import Call
from tests.support.encodings import D, H, L, N, added, built, pairs, past_the_table
from tests.support.evidence import EncodingCase, EncodingEvidence
from tests.support.helpers import normal
from tests.support.row import Row


def terms(q, k, params, i, j, scale, x, text):
    table = params["table"]
    head = lambda n: n if table.shape[1] > 1 else 0
    return pairs(q, k, lambda n, a, b: scale * q[a, n] @ table[j[b] - i[a] - 1, head(n)] if j[b] <= i[a] else 0.0)


def oracles():
    from tests.support.encoding_oracles import QKV, C, F, attends, from_terms, torch
    from tests.support.witness import Witness

    def skewed(query, key, table):
        """The padding and reshaping of the paper."""
        products = torch.einsum("binh,lnh->bnil", query, table[C.L - C.T :])
        return F.pad(products, (1, 0)).reshape(C.B, C.N, C.T + 1, C.T)[:, :, 1:]

    ours = attends("music", ("table",), mask="causal")
    inputs = (*QKV, C.normal(8, C.L, C.N, C.H))
    return {"torch: pad and reshape": Witness(ours, from_terms(skewed, causal=True), inputs)}


ROW = Row(
    "music",
    {"per_head": "False"},
    EncodingEvidence(
        (
            EncodingCase("music", scores=added(terms), mask="causal"),
            EncodingCase("music(per_head=False)", scores=added(terms), mask="causal"),
        ),
        oracles,
        (0, L * D),
        mask="causal",
        max_length="dims",
        whole=True,
        errors={"music(per_head=2)": "True or False, got 2"},
    ),
)


def test_past_the_table():
    assert past_the_table("music", "causal", "distance") == [False, False, True]


def test_the_function_is_what_the_record_adds():
    record, params = built("music")
    query, key, at = normal(0, 2, 9, N, H), normal(1, 2, 9, N, H), jnp.arange(9)
    call = Call(at, at, consecutive=True, scale=1.0)
    bias = record.bias(params, *record.prepare(params, None, query, key, call), call)
    np.testing.assert_allclose(attention.music_terms(query, at, at, params["table"]), bias, atol=1e-5)
