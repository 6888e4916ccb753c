"""Evidence of linear attention."""

import numpy as np

from tests.support.evidence import MixerCase, MixerEvidence
from tests.support.mixers import BOTH, HEADS, MHA, means, of_heads, seen, torch_out, torch_qkv, turn, witness
from tests.support.row import Row


def elu1(x):
    return np.where(x > 0, x + 1, np.exp(x))


@of_heads
def reference(q, k, v, causal):
    return means(lambda i, j: elu1(q[i]) @ elu1(k[j]), q, k, v, causal, epsilon=1e-6)


@of_heads
def turned(q, k, v, causal):
    rows = []
    for i in range(len(q)):
        keys = seen(i, len(k), causal)
        top = sum((turn(elu1(q[i]), i) @ turn(elu1(k[j]), j)) * v[j] for j in keys)
        rows.append(top / (sum(elu1(q[i]) @ elu1(k[j]) for j in keys) + 1e-6))
    return np.array(rows)


def oracles():
    from tests.support.oracle_packages import F, torch

    def theirs(causal):
        """The feature map and sums of idiap/fast-transformers, ``LinearAttention`` and (as a matrix) its causal form."""

        def apply(x, p):
            q, k, v = torch_qkv(x, p)
            Q, K = F.elu(q) + 1, F.elu(k) + 1
            if not causal:
                Z = 1 / (torch.einsum("bnld,bnd->bnl", Q, K.sum(2)) + 1e-6)
                return torch_out(torch.einsum("bnld,bndm,bnl->bnlm", Q, torch.einsum("bnsd,bnsm->bndm", K, v), Z), p)
            weights = torch.tril(Q @ K.transpose(-1, -2))
            return torch_out(weights @ v / (weights.sum(-1, keepdim=True) + 1e-6), p)

        return apply

    return {
        "torch: fast-transformers": witness("linear(heads=2)", theirs(False)),
        "torch: fast-transformers, causal": witness("linear(heads=2)", theirs(True), "causal"),
    }


CASES = (
    MixerCase("linear(heads=2)", reference, MHA, masks=BOTH),
    MixerCase("linear(heads=2)", turned, MHA, masks=BOTH, ordered=True, encoding="rope"),
)
REFUSED = (
    ({"mask": "local"}, r"mixer=linear with mask=local: it takes mask=full, causal or 'causal & document'"),
    ({"encoding": "alibi"}, r"mixer=linear with encoding=alibi: this encoding does more than rotate"),
    ({"normalizer": "sparsemax"}, "mixer=linear with normalizer=sparsemax: it uses no normalizer"),
)
ERRORS = {"linear(heads=0)": "heads must be >= 1, got 0"}
ROW = Row("linear(heads=2)", HEADS, MixerEvidence(CASES, oracles, ("rotation",), REFUSED, ERRORS))
