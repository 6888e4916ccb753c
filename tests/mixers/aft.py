"""Evidence of attention without queries and keys."""

import numpy as np

from tests.support.evidence import MixerCase, MixerEvidence
from tests.support.mixers import BOTH, MHA, L, heads_of, merge, seen, torch_out, torch_qkv, witness
from tests.support.row import Row


def reference(own, x, memory, causal=False):
    q, k, v = (heads_of(own[name], y)[0] for name, y in (("query", x), ("key", memory), ("value", memory)))
    y = np.zeros_like(q)
    for i in range(len(q)):
        keys = seen(i, len(k), causal)
        w = [own["pairs"][i, j] if "pairs" in own else 0.0 for j in keys]
        e = np.array([np.exp(k[j] + w[j]) for j in keys])
        y[i] = (e * v[: len(e)]).sum(0) / e.sum(0) / (1 + np.exp(-q[i]))
    return merge(own["output"], [y])


def oracles():
    from tests.support.oracle_packages import torch

    def theirs(x, p):
        """Equation 2 of the paper, the exponentials as they are."""
        q, k, v = (each[0, 0] for each in torch_qkv(x, p))
        n = len(x)
        w = p["pairs"][:n, :n] if "pairs" in p else torch.zeros(n, n, dtype=x.dtype)
        found = torch.sigmoid(q) * (torch.exp(w) @ (torch.exp(k) * v)) / (torch.exp(w) @ torch.exp(k))
        return torch_out(found[None, None], p)

    return {"torch: equation 2": witness("aft", theirs), "torch: simple": witness("aft(form=simple)", theirs)}


CASES = (
    MixerCase("aft", reference, MHA + L * L, masks=BOTH, ordered=True, max_length="dims"),
    MixerCase("aft(form=simple)", reference, MHA, masks=BOTH),
)
ROW = Row("aft", {"form": "simple", "bias": "False"}, MixerEvidence(CASES, oracles))
