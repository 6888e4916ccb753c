"""Evidence of softmax."""

import jax
import jax.numpy as jnp
import numpy as np

import attention
from tests.support.evidence import Law, NormalizerEvidence
from tests.support.helpers import DIMS
from tests.support.normalizers import HEADS, SOFTMAX, case, exp_of
from tests.support.reference_normalizers import softmax
from tests.support.row import Row


def oracles():
    from tests.support import oracle_normalizer_layers as layers
    from tests.support import oracle_normalizers as o

    def sdpa(q, k, v, where):
        return o.F.scaled_dot_product_attention(q, k, v, attn_mask=where, enable_gqa=True)

    causal = lambda s, i, j: o.torch.where(i >= j, s, -o.torch.inf)
    near = lambda s, i, j: o.torch.where((i >= j) & (i - j <= 2), s, -o.torch.inf)
    return {
        "torch.softmax, by s and τ": o.row(
            lambda s, w, t: attention.softmax(s, w, temperature=t), lambda z, t: o.torch.softmax(z / t, -1), o.positive(0)
        ),
        "torch SDPA, grouped keys": o.Witness(
            layers.ours_of("softmax"), layers.heads_first(sdpa), layers.inputs(heads=layers.K)
        ),
        "FlexAttention, causal": layers.flex("softmax", "causal", causal),
        "FlexAttention, causal & local": layers.flex("softmax", "causal & local(window=4)", near),
    }


CASES = (
    case("softmax(temperature=learned)", softmax, of={"temperature": exp_of("log_temperature")}, count=HEADS),
    case("softmax", softmax, *SOFTMAX),
    case("softmax(temperature=2)", softmax, options={"temperature": 2.0}),
)
LAWS = {
    "it is jax.nn's": Law(
        lambda s, w: attention.softmax(s, w), lambda s, w: jax.nn.softmax(jnp.where(w, s, -jnp.inf), axis=-1)
    ),
}
ERRORS = {
    "softmax(temperature=0)": "temperature must be a finite number > 0, got 0.0",
    "softmax(temperature=learnt)": "wants a number or 'learned', got 'learnt'",
}


def picture():
    from tools.kinds.normalizer_weights import shown

    return shown("softmax(temperature=0.5)", "softmax, τ = 0.5")


ROW = Row(
    "softmax(temperature=learned)",
    {"temperature": "2"},
    NormalizerEvidence(
        CASES,
        oracles,
        refused=(({"temperature": float("nan")}, "temperature must be a finite number > 0, got nan"),),
        laws=LAWS,
        errors=ERRORS,
        picture=picture,
    ),
)


def test_start():
    start = attention.build("normalizer", "softmax(temperature=learned)").init(jax.random.key(0), DIMS)
    np.testing.assert_array_equal(start["log_temperature"], np.zeros(HEADS))
