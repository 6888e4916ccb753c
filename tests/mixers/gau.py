"""Evidence of the gated attention unit."""

import jax.numpy as jnp
import numpy as np

import attention
from tests.support.evidence import MixerCase, MixerEvidence
from tests.support.mixers import BOTH, VALID, D, made, outputs, seen, states, witness
from tests.support.row import Row


def silu(x):
    return x / (1 + np.exp(-x))


def reference(own, x, memory, causal=False):
    u, v, z = (silu(x @ own[name]) for name in ("gate", "value", "base"))
    q, k = own["scale"][:, None] * z + own["offset"][:, None]
    mixed = np.zeros_like(v)
    for i in range(len(x)):
        keys = seen(i, len(x), causal)
        mixed[i] = sum(max(q[i] @ k[j] / len(keys), 0) ** 2 * v[j] for j in keys)
    return (u * mixed) @ own["output"]


def oracles():
    from tests.support.oracle_packages import F, torch

    def theirs(x, p):
        """lucidrains/FLASH-pytorch, ``GAU``, on a text without padding."""
        v, gate = F.silu(x @ p["value"]), F.silu(x @ p["gate"])
        qk = F.silu(x @ p["base"])
        q, k = (torch.einsum("...d,hd->...hd", qk, p["scale"]) + p["offset"]).unbind(dim=-2)
        A = F.relu(q @ k.T / len(x)) ** 2
        return (A @ v * gate) @ p["output"]

    return {"torch: FLASH-pytorch": witness("gau(key_dim=4)", theirs)}


CASE = MixerCase("gau(key_dim=4, expansion=1.5)", reference, D * (3 * 12 + 4) + 4 * 4, BOTH, cross=False, chunked="t5")
ROW = Row(
    "gau(key_dim=4, expansion=1.5)",
    {"key_dim": "6", "expansion": "1.0"},
    MixerEvidence(
        (CASE,),
        oracles,
        ("encoding", "mask"),
        (({"encoding": "shaw"}, "mixer=gau with encoding=shaw: this encoding adds to values"),),
        {"gau(expansion=0)": "expansion must be a finite number > 0"},
    ),
)


def test_the_unit_is_its_mixer():
    own, x = made("gau(key_dim=4)")[2], states()
    found = attention.gated_attention_unit(x, own, jnp.asarray(VALID))
    np.testing.assert_allclose(found, outputs("gau(key_dim=4)", own, x, VALID), atol=1e-6)
