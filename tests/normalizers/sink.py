"""Evidence of a learned sink."""

import math

import jax
import numpy as np

import attention
from tests.support.evidence import Law, NormalizerEvidence
from tests.support.helpers import DIMS
from tests.support.normalizers import HEADS, case, own
from tests.support.reference_normalizers import ratio
from tests.support.row import Row


def sink(row, mask, logit):
    return ratio(row, mask, math.exp, extra=math.exp(logit))


def oracles():
    from tests.support import oracle_normalizer_layers as layers
    from tests.support import oracle_normalizers as o

    column = lambda z, b: o.torch.softmax(o.torch.cat([z, b]), -1)[:-1]
    sinks = np.array([-1.0, 0.0, 0.5, 2.0])
    return {
        "torch.softmax with a column of b": o.row(lambda s, w, b: attention.sink(s, w, logit=b), column, o.positive(4)),
        "transformers gpt_oss": layers.transformers(
            "sink", layers.gpt_oss.eager_attention_forward, "logit", own=(sinks,), module=lambda given: {"sinks": given[0]}
        ),
        "x-transformers head_learned_sink": layers.x_transformers(
            "sink", ("logit",), ("head_attn_sink",), (sinks,), head_learned_sink=True
        ),
    }


LAWS = {
    "a low sink is softmax": Law(lambda s, w: attention.sink(s, w, logit=-1e4), lambda s, w: attention.softmax(s, w)),
    "a sink of 0 is softmax1": Law(lambda s, w: attention.sink(s, w), lambda s, w: attention.softmax1(s, w)),
}


def picture():
    from tools.kinds.normalizer_weights import shown

    return shown("sink(logit=1)", "sink, b = 1")


ROW = Row(
    "sink",
    {"logit": "-3"},
    NormalizerEvidence(
        (case("sink", sink, of={"logit": own("logit")}, count=HEADS),),
        oracles,
        public={"logit": 0.5},
        laws=LAWS,
        picture=picture,
    ),
)


def test_start():
    start = lambda spec: attention.build("normalizer", spec).init(jax.random.key(0), DIMS)["logit"]
    np.testing.assert_array_equal(start("sink"), np.zeros(HEADS))
    np.testing.assert_array_equal(start("sink(logit=-3)"), np.full(HEADS, -3.0))
