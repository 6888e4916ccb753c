"""Evidence of the published synthesizers."""

import numpy as np

from tests.support.evidence import MixerCase, MixerEvidence
from tests.support.mixers import BOTH, HEADS, D, H, L, N, heads_of, merge, torch_heads, torch_out, weigh, witness
from tests.support.row import Row


def reference(own, x, memory, causal=False):
    v, s, score = heads_of(own["value"], memory), len(memory), own["score"]
    if "query" in own:
        hidden = np.maximum(heads_of(own["query"], x), 0)
        scores = np.einsum("nth,nsh->nts", hidden, score["table"][:, :s]) + score["bias"][:, None, :s]
    else:
        table = score["table"] if "table" in score else score["fixed"].reshape(len(v), L, L)
        scores = table[:, : len(x), :s]
    return merge(own["output"], weigh(scores, v, causal)[0])


def oracles():
    from tests.support.oracle_packages import F, torch

    def theirs(x, p):
        """SDPA of no queries, with the synthesised scores as its bias."""
        v, n, score = torch_heads(x, p["value"]), len(x), p["score"]
        if "query" in p:
            hidden = F.relu(torch_heads(x, p["query"]))
            scores = hidden @ score["table"][:, :n].transpose(-1, -2) + score["bias"][:, None, :n]
        else:
            scores = score["table"][None, :, :n, :n]
        return torch_out(F.scaled_dot_product_attention(torch.zeros_like(v), torch.zeros_like(v), v, attn_mask=scores), p)

    return {
        "torch SDPA, dense": witness("synthesizer(heads=2)", theirs),
        "torch SDPA, random": witness("synthesizer(heads=2, form=random)", theirs),
    }


CASES = (
    MixerCase(
        "synthesizer(heads=2)", reference, 3 * (D * D + D) + N * L * (H + 1), masks=BOTH, ordered=True, max_length="dims"
    ),
    MixerCase(
        "synthesizer(heads=2, form=random)",
        reference,
        2 * (D * D + D) + N * L * L,
        masks=BOTH,
        ordered=True,
        max_length="dims",
    ),
)
OPTIONS = {**HEADS, "form": "random", "trainable": "False, form=random"}
ROW = Row("synthesizer(heads=2)", OPTIONS, MixerEvidence(CASES, oracles, ("mask",)))
