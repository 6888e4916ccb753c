"""Evidence of the k largest."""

import functools

import jax.numpy as jnp
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import attention
from tests.support.evidence import Law, NormalizerEvidence
from tests.support.normalizers import case, check_long_rows
from tests.support.reference_normalizers import allowed, softmax
from tests.support.row import Row


def topk(row, mask, k=8):
    kept = sorted((s for _, s in allowed(row, mask)), reverse=True)[:k]
    return softmax(row, [m and s >= kept[-1] for s, m in zip(row, mask)])


def oracles():
    from tests.support import oracle_normalizer_layers as layers
    from tests.support import oracle_normalizers as o

    return {
        "x-transformers sparse_topk_attn": o.row(
            lambda s, w: attention.topk(s, w, k=3), lambda z: o.x_attend.sparse_topk_attn(z, min(3, len(z)))
        ),
        "x-transformers sparse_topk": layers.x_transformers("topk(k=2)", sparse_topk=2),
    }


LAWS = {
    "all keys are softmax": Law(lambda s, w: attention.topk(s, w, k=9), lambda s, w: attention.softmax(s, w)),
    "k = 1 is hard": Law(lambda s, w: attention.topk(s, w, k=1), lambda s, w: attention.hard(s, w)),
}


def picture():
    from tools.kinds.normalizer_weights import shown

    return shown("topk(k=2)", "topk, k = 2")


ROW = Row(
    "topk(k=3)",
    {"k": "2"},
    NormalizerEvidence(
        (case("topk(k=3)", topk, options={"k": 3}),),
        oracles,
        public={"k": 3},
        refused=(({"k": 0}, "k must be >= 1, got 0"),),
        laws=LAWS,
        errors={"topk(k=0)": "k must be >= 1, got 0", "topk(k=2.5)": "wants a whole number, got 2.5"},
        picture=picture,
    ),
)


def test_long_rows():
    check_long_rows(functools.partial(attention.topk, k=100), functools.partial(topk, k=100))


@given(st.lists(st.floats(-50, 50, width=32), min_size=2, max_size=12), st.integers(1, 12))
def test_ties_are_kept_and_no_others(row, k):
    scores = np.float32(row)
    kept = np.asarray(attention.topk(jnp.asarray(scores), k=k))
    bound = np.sort(scores)[::-1][: min(k, len(row))][-1]
    assert ((kept > 0) <= (scores >= bound)).all()
    assert ((scores >= bound) & (scores > scores.max() - 50) <= (kept > 0)).all()
    np.testing.assert_allclose(kept, topk(np.float64(scores), [True] * len(row), k), atol=1e-5)
