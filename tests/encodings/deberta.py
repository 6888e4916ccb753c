"""Evidence of DeBERTa's disentangled attention."""

import math

import jax.numpy as jnp
import numpy as np
import pytest

import attention
from tests.support.encodings import D, H, N, added, pairs
from tests.support.evidence import EncodingCase, EncodingEvidence
from tests.support.helpers import init, jit, normal
from tests.support.row import Row


def bucket(r, buckets, max_distance):
    m = buckets // 2
    if abs(r) <= m:
        return r
    exact = math.log(abs(r) / m) / math.log((max_distance - 1) / m) * (m - 1)
    return int(math.copysign(min(math.ceil(round(exact, 9)) + m, buckets), r))


def form(buckets="log", p2c="code"):
    def terms(q, k, params, i, j, scale, x, text):
        table, K = params["table"], len(params["table"]) // 2

        def row(r):
            r = bucket(r, K, 16) if buckets == "log" else r
            return table[min(max(r + K, 0), 2 * K - 1)]

        def term(n, a, b):
            r = int(i[a] - j[b])
            to_position = q[a, n] @ (row(r) @ params["key"][:, n])
            from_position = k[b, n] @ (row(r if p2c == "code" else -r) @ params["query"][:, n])
            return scale * (to_position + from_position)

        return pairs(q, k, term)

    return added(terms)


def oracles():
    from tests.support.encoding_oracles import C, DebertaV2Config, DisentangledSelfAttention, X, torch
    from tests.support.witness import FLOAT32, Witness

    names = [f"{name}.weight" for name in ("query_proj", "key_proj", "value_proj", "pos_key_proj", "pos_query_proj")]

    def witness(spec, rows, **options):
        config = DebertaV2Config(
            hidden_size=C.D, num_attention_heads=C.N, relative_attention=True, pos_att_type=["c2p", "p2c"], **options
        )
        module = DisentangledSelfAttention(config).double().eval()
        zeros = {name: torch.zeros(C.D, dtype=torch.float64) for name, _ in module.named_parameters() if name.endswith("bias")}

        def theirs(x, table, *weights):
            given = {**zeros, **dict(zip(names, weights, strict=True))}
            everyone = torch.ones(C.B, 1, C.T, C.T)
            return torch.func.functional_call(module, given, (x, everyone), {"rel_embeddings": table})[0]

        def ours(x, table, *weights):
            query, key, value = ((x @ w.T).reshape(C.B, C.T, C.N, C.H) for w in weights[:3])
            own = {name: w.T.reshape(C.D, C.N, C.H) for name, w in zip(("key", "query"), weights[3:])}
            params = {"encoding": {"table": table, **own}}
            return attention.attend(query, key, value, encoding=spec, params=params).reshape(C.B, C.T, C.D)

        weights = [C.normal(10 + i, C.D, C.D, scale=0.3) for i in range(5)]
        return Witness(ours, theirs, (X, C.normal(9, rows, C.D), *weights), FLOAT32)

    return {
        "transformers DeBERTa v2, log buckets": witness(
            "deberta(max_distance=16)", 16, position_buckets=8, max_relative_positions=16
        ),
        "transformers DeBERTa v2, clipped": witness("deberta(max_distance=5, buckets=none)", 10, max_relative_positions=5),
    }


def picture():
    from tools.kinds.encoding_maps import contents

    return contents("deberta(max_distance=32)")


ROW = Row(
    "deberta(max_distance=16)",
    {"max_distance": "24", "buckets": "none", "p2c": "paper"},
    EncodingEvidence(
        (
            EncodingCase("deberta(max_distance=16)", scores=form()),
            EncodingCase("deberta(max_distance=16, p2c=paper)", scores=form(p2c="paper")),
            EncodingCase("deberta(max_distance=5, buckets=none)", scores=form("none")),
            EncodingCase("deberta(max_distance=5, buckets=none, p2c=paper)", scores=form("none", "paper")),
        ),
        oracles,
        (2 * 8 * D, 2 * D * D),
        terms=3,
        whole=True,
        picture=picture,
        errors={
            "deberta(max_distance=0, buckets=none)": "max_distance must be >= 1, got 0",
            "deberta(max_distance=10)": "max_distance must be a multiple of 4 and >= 8 with buckets='log', got 10",
            "deberta(max_distance=4)": ">= 8 with buckets='log', got 4",
            "deberta(buckets=linear)": "'log', 'none'.*got 'linear'",
            "deberta(p2c=coda)": "nearest: 'code'",
        },
    ),
)


def test_published_buckets():
    """transformers, modeling_deberta_v2.py: make_log_bucket_position with bucket_size 256 and max_position 512."""
    distance = [-600, -511, -200, -129, -128, -1, 0, 5, 128, 129, 130, 131, 200, 256, 400, 510, 511]
    wanted = [-256, -255, -169, -129, -128, -1, 0, 5, 128, 129, 130, 131, 169, 192, 233, 255, 255]
    np.testing.assert_array_equal(attention.deberta_buckets(jnp.array(distance)), wanted)


@pytest.mark.parametrize(("buckets", "max_distance"), [(256, 512), (64, 128), (16, 100), (4, 8), (6, 9), (32, 64)])
def test_buckets(buckets, max_distance):
    distance = np.array([*range(-600, 601), -(2**31) + 1, 2**31 - 1])
    found = jit(lambda d: attention.deberta_buckets(d, buckets=buckets, max_distance=max_distance))(distance)
    np.testing.assert_array_equal(found, [bucket(int(r), buckets, max_distance) for r in distance])
    assert np.asarray(found).max() == buckets


def test_forms_agree_where_they_should():
    """v1 and the log form agree while distances are exact; the paper's and the code's term differ in direction alone."""
    query = normal(1, 1, 5, N, H)
    run = lambda spec, params: attention.attend(query, query, query, encoding=spec, params={"encoding": params})
    params = init(attention.build("encoding", "deberta(max_distance=24, buckets=log)"))
    wide = {**params, "table": jnp.pad(params["table"], ((12, 12), (0, 0)))}
    np.testing.assert_allclose(
        run("deberta(max_distance=24)", params), run("deberta(max_distance=24, buckets=none)", wide), atol=1e-5
    )
    mirrored = {**params, "table": params["table"].at[1:].set((params["table"][1:] + params["table"][:0:-1]) / 2)}
    code, paper = (run(f"deberta(max_distance=24, p2c={p2c})", mirrored) for p2c in ("code", "paper"))
    np.testing.assert_allclose(code, paper, atol=1e-5)


def test_bad_buckets():
    with pytest.raises(ValueError, match="buckets must be an even number >= 4, got 5"):
        attention.deberta_buckets(jnp.arange(3), buckets=5)
    with pytest.raises(ValueError, match="max_distance must be > 129 with 256 buckets, got 129"):
        attention.deberta_buckets(jnp.arange(3), max_distance=129)
