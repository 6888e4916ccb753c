"""Evidence of contextual positions."""

import math

import jax.numpy as jnp
import numpy as np

import attention
from attention.records import Call
from tests.support.encodings import H, N, added, pairs, starts
from tests.support.evidence import EncodingCase, EncodingEvidence
from tests.support.helpers import init
from tests.support.row import Row


def form(scaling="paper", direction="causal"):
    def terms(q, k, params, i, j, scale, x, text):
        gate = lambda n, a, b: 1 / (1 + math.exp(-scale * q[a, n] @ k[b, n])) if text[b] else 0.0

        def term(n, a, b):
            if b > a and direction != "both":
                return 0.0
            table = params["earlier" if b <= a else "later"]
            p = min(sum(gate(n, a, c) for c in range(min(a, b), max(a, b) + 1)), len(table) - 1)
            logits = table @ q[a, n] * (scale if scaling == "official" else 1.0)
            w = p - math.floor(p)
            return (1 - w) * logits[math.floor(p)] + w * logits[math.ceil(p)]

        return pairs(q, k, term)

    return added(terms)


def oracles():
    from tests.support.encoding_oracles import LATER, QKV, C, CoPE, attends, torch
    from tests.support.witness import Witness

    module = CoPE(C.H, C.N, 5).double()

    def witness(scaling):
        def theirs(query, key, value, table):
            products = torch.einsum("binh,bjnh->bnij", query, key) * C.H**-0.5
            hidden = products.masked_fill(LATER, -torch.finfo(products.dtype).max)
            given = {"pos_emb": table * (C.H**-0.5 if scaling == "official" else 1.0)}
            terms = torch.func.functional_call(module, given, (query.transpose(1, 2), hidden))
            scores = (products + terms).masked_fill(LATER, -torch.inf)
            return torch.einsum("bnij,bjnh->binh", torch.softmax(scores, -1), value)

        ours = attends(f"cope(max_position=5, scaling={scaling})", ("earlier",), mask="causal")
        return Witness(ours, theirs, (*QKV, C.normal(30, 5, C.H)))

    return {"x-transformers CoPE, paper": witness("paper"), "x-transformers CoPE, official": witness("official")}


def picture():
    from tools.kinds.encoding_maps import contents, normal

    drawn = lambda params: {name: normal(*leaf.shape, seed=4) for name, leaf in params.items()}  # zero at the start
    return contents("cope(max_position=16)", drawn, heads=(1,))


ROW = Row(
    "cope(max_position=8)",
    {"max_position": "5", "scaling": "official", "direction": "both"},
    EncodingEvidence(
        (
            EncodingCase("cope(max_position=8)", scores=form(), mask="causal"),
            EncodingCase("cope(max_position=4, scaling=official)", scores=form("official"), mask="causal"),
            EncodingCase("cope(max_position=4, direction=both)", scores=form(direction="both")),
        ),
        oracles,
        (0, 8 * H),
        mask="causal",
        by_position=False,
        one_sequence=True,
        picture=picture,
        errors={
            "cope(max_position=1)": "max_position must be >= 2, got 1",
            "cope(scaling=none)": "'paper', 'official'",
            "cope(direction=left)": "'causal', 'both'",
        },
    ),
)


def test_open_gates_count_keys():
    """CoPE with open gates is a table of clipped distances, i - j + 1."""
    record = attention.build("encoding", "cope(max_position=4, direction=both)")
    params = init(record)
    query = jnp.ones((1, 6, N, H)) * 100
    call = Call(scale=1.0)
    bias = record.bias(params, *record.prepare(params, None, query, query, call), call)
    z = {name: params[name].sum(-1) * 100 for name in ("earlier", "later")}
    for i in range(6):
        wanted = [z["earlier" if j <= i else "later"][min(abs(i - j) + 1, 3)] for j in range(6)]
        np.testing.assert_allclose(bias[0, 0, i], wanted, rtol=1e-5)


def test_start():
    np.testing.assert_array_equal(starts("cope")["earlier"], np.zeros((64, H)))
