"""Evidence of efficient attention."""

import functools
import math

import jax.numpy as jnp
import numpy as np

import attention
from tests.support.evidence import MixerCase, MixerEvidence
from tests.support.helpers import normal
from tests.support.mixers import HEADS, MHA, of_heads, softmax, torch_out, torch_qkv, witness
from tests.support.row import Row


@of_heads
def reference(q, k, v, causal, scaled=True):
    out = softmax(q) @ (softmax(k.T) @ v)
    return out / math.sqrt(q.shape[-1]) if scaled else out


def oracles():
    from tests.support.oracle_mixer_packages import linear_attn

    def theirs(x, p):
        q, k, v = torch_qkv(x, p)
        return torch_out(linear_attn(q.clone(), k.clone(), v.clone()), p)

    return {"linear-attention-transformer": witness("efficient(heads=2)", theirs)}


CASES = (
    MixerCase("efficient(heads=2)", reference, MHA),
    MixerCase("efficient(heads=2, scaled=False)", functools.partial(reference, scaled=False), MHA),
)
REFUSED = (({"mask": "causal"}, "mixer=efficient with mask=causal: it uses no mask"),)
ROW = Row("efficient(heads=2)", {**HEADS, "scaled": "False"}, MixerEvidence(CASES, oracles, parts=REFUSED))


def test_outputs_are_means():
    query, key = normal(0, 5, 2, 4), normal(1, 7, 2, 4)
    np.testing.assert_allclose(attention.efficient_attention(query, key, jnp.ones_like(key)), 1.0, atol=1e-6)
