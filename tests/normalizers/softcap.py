"""Evidence of capped scores."""

import functools
import math

import jax.numpy as jnp

import attention
from tests.support.evidence import Law, NormalizerEvidence
from tests.support.normalizers import HEADS, case, exp_of
from tests.support.reference_normalizers import softmax, sparsemax
from tests.support.row import Row


def softcapped(row, mask, cap, inner):
    return inner([cap * math.tanh(s / cap) for s in row], mask)


def _sparsemax_of(own, n):
    return functools.partial(sparsemax, temperature=exp_of("log_temperature")(own["inner"], n))


def oracles():
    from tests.support import oracle_normalizer_layers as layers
    from tests.support import oracle_normalizers as o

    forward = layers.gemma2.eager_attention_forward
    return {
        "torch.tanh": o.row(lambda s, w: jnp.where(w, attention.softcap(s, 3.0), 0.0), lambda z: 3.0 * o.torch.tanh(z / 3.0)),
        "transformers gemma2": layers.transformers("softcap(cap=2)", forward, softcap=2.0, tolerance=layers.FLOAT32),
        "x-transformers softclamp_logits": layers.x_transformers(
            "softcap(cap=2)", softclamp_logits=True, logit_softclamp_value=2.0
        ),
        "FlexAttention": layers.flex("softcap(cap=2)", "full", lambda s, i, j: 2 * layers.torch.tanh(s / 2)),
    }


LEARNED = "softcap(cap=2, inner=sparsemax(temperature=learned))"


def picture():
    from tools.kinds.normalizer_weights import shown

    return shown("softcap(cap=1)", "softcap, c = 1")


ROW = Row(
    LEARNED,
    {"cap": "1", "inner": "softmax"},
    NormalizerEvidence(
        (
            case(LEARNED, softcapped, options={"cap": 2.0}, of={"inner": _sparsemax_of}, count=HEADS),
            case("softcap(cap=5)", softcapped, options={"cap": 5.0, "inner": softmax}),
        ),
        oracles,
        public=None,
        refused=(({"cap": -1.0}, "cap must be a finite number > 0, got -1.0"),),
        laws={"a high cap changes nothing": Law(lambda s, w: attention.softcap(s, 1e6), lambda s, w: s, 1e-5)},
        errors={
            "softcap(cap=0)": "cap must be a finite number > 0, got 0.0",
            "softcap(inner=sparsmax)": r"unknown normalizer 'sparsmax' \(nearest: 'sparsemax'\)",
        },
        picture=picture,
    ),
)
