"""Evidence of attention weighed by cosines of distances."""

import functools
import math

import jax.numpy as jnp
import numpy as np

import attention
from tests.support.evidence import MixerCase, MixerEvidence
from tests.support.helpers import normal
from tests.support.mixers import BOTH, HEADS, MHA, means, of_heads, torch_out, torch_qkv, witness
from tests.support.row import Row


@of_heads
def reference(q, k, v, causal, length=None):
    M = length or max(len(q), len(k))
    relu = lambda x: np.maximum(x, 0)
    weight = lambda i, j: relu(q[i]) @ relu(k[j]) * math.cos(math.pi * (i - j) / (2 * M))
    return means(weight, q, k, v, causal, least=1e-6)


def oracles():
    from tests.support.oracle_packages import F, torch

    def theirs(length, causal):
        """OpenNLPLab/cosFormer: positions from 1, ``sin`` and ``cos`` of relu features, denominators of 1e-6 at least."""

        def apply(x, p):
            q, k, v = torch_qkv(x, p)
            n = x.shape[0]
            index = math.pi / 2 * torch.arange(1, n + 1, dtype=x.dtype)[:, None] / (length or n)
            q_, k_ = (torch.cat([F.relu(y) * torch.sin(index), F.relu(y) * torch.cos(index)], dim=-1) for y in (q, k))
            weights = q_ @ k_.transpose(-1, -2)
            weights = torch.tril(weights) if causal else weights
            return torch_out(weights @ v / weights.sum(-1, keepdim=True).clamp_min(1e-6), p)

        return apply

    return {
        "torch: cosFormer": witness("cosformer(heads=2)", theirs(None, False)),
        "torch: cosFormer, causal": witness("cosformer(heads=2, length=24)", theirs(24, True), "causal"),
    }


CASES = (
    MixerCase("cosformer(heads=2)", reference, MHA, ordered=True),
    MixerCase("cosformer(heads=2, length=24)", functools.partial(reference, length=24), MHA, BOTH, ordered=True, max_length=24),
)
REFUSED = (({"mask": "causal"}, "mixer=cosformer with mask=causal: give length"),)
ERRORS = {"cosformer(length=0)": "length must be >= 1, got 0"}
ROW = Row("cosformer(heads=2)", {**HEADS, "length": "24"}, MixerEvidence(CASES, oracles, parts=REFUSED, errors=ERRORS))


def test_it_sees_distances_alone():
    """Tokens before a text that count for nothing shift it and change nothing, under a fixed M."""
    query, key, value = (normal(i, 9, 2, 4) for i in range(3))
    where = jnp.arange(9) >= 4
    run = lambda *a, **where: attention.cosformer_attention(*a, length=24, **where)
    late = run(query, key, value, where, q_where=where)[4:]
    np.testing.assert_allclose(late, run(query[4:], key[4:], value[4:]), atol=1e-6)
