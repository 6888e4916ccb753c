"""Evidence of attention with a latent of keys and values."""

import functools
import math

import jax.numpy as jnp
import numpy as np

from tests.support.evidence import MixerCase, MixerEvidence
from tests.support.mixers import BOTH, PARTS, D, made, outputs, states, turn, weigh, witness
from tests.support.row import Row
from tests.support.witness import FLOAT32


def rms(x, scale):
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6) * scale


def reference(own, x, memory, causal=False, turned=False):
    c = rms(memory @ own["latent"], own["latent_scale"])
    queries = rms(x @ own["q_latent"], own["q_latent_scale"]) if "q_latent" in own else x
    q = np.einsum("nd,dkh->knh", queries, own["query"])
    shared = memory @ own["shared_key"]
    R = shared.shape[-1]
    if turned:
        shared = np.array([turn(row, j) for j, row in enumerate(shared)])
        q = np.concatenate([q[..., :-R], [[turn(row, i) for i, row in enumerate(head[:, -R:])] for head in q]], -1)
    heads = []
    for h in range(len(q)):
        k = np.concatenate([c @ own["key"][:, h], shared], -1)
        scores = q[h] @ k.T / math.sqrt(k.shape[-1])
        heads.append(weigh(scores[None], (c @ own["value"][:, h])[None], causal)[0][0])
    return sum(head @ own["output"][h] for h, head in enumerate(heads))


FULL = "latent_attention(heads=2, head_dim=3, rope_dim=2, value_dim=4, rank=5, query_rank=6)"


def oracles():
    from tests.support.oracle_mixer_packages import DeepseekV2Attention, DeepseekV2Config
    from tests.support.oracle_packages import torch

    def theirs(x, p):
        """transformers' DeepSeek-V2; its norms and rotations are in float32."""
        config = DeepseekV2Config(
            hidden_size=D, num_attention_heads=2, num_key_value_heads=2, q_lora_rank=6, kv_lora_rank=5, qk_nope_head_dim=3,
            qk_rope_head_dim=2, v_head_dim=4, attention_bias=False,
        )  # fmt: skip
        config._attn_implementation = "eager"
        module = DeepseekV2Attention(config, 0).double().eval()
        given = {
            "q_a_proj.weight": p["q_latent"].T,
            "q_a_layernorm.weight": p["q_latent_scale"],
            "q_b_proj.weight": p["query"].flatten(1).T,
            "kv_a_proj_with_mqa.weight": torch.cat([p["latent"], p["shared_key"]], dim=1).T,
            "kv_a_layernorm.weight": p["latent_scale"],
            "kv_b_proj.weight": torch.cat([p["key"], p["value"]], dim=-1).flatten(1).T,
            "o_proj.weight": p["output"].flatten(0, 1).T,
        }
        angles = torch.arange(len(x), dtype=torch.float32)[:, None]  # the one pair turns by its position
        options = {"position_embeddings": torch.polar(torch.ones_like(angles), angles)[None], "attention_mask": None}
        return torch.func.functional_call(module, given, (x[None],), options)[0][0]

    return {"transformers DeepSeek-V2": witness(FULL, theirs, encoding="rope", tolerance=FLOAT32)}


CASES = (
    MixerCase(
        "latent_attention(heads=2, head_dim=3, rope_dim=2, rank=5)",
        reference,
        D * (5 + 2 + 2 * 5) + 5 + 5 * 2 * 6 + 2 * 3 * D,
        masks=BOTH,
        chunked="rope",
    ),
    MixerCase(
        FULL,
        functools.partial(reference, turned=True),
        D * (5 + 2) + 5 + 5 * 2 * 7 + 2 * 4 * D + D * 6 + 6 + 6 * 2 * 5,
        masks=BOTH,
        ordered=True,
        encoding="rope",
        chunked="rope",
    ),
)
REFUSED = (
    ({"encoding": "shaw"}, "encoding=shaw: this encoding adds to values"),
    ({"encoding": "pope"}, "encoding=pope: this encoding has parameters for every channel"),
    ({"normalizer": "differential"}, "normalizer=differential: this normalizer joins heads"),
)
ROW = Row(
    "latent_attention(heads=2, head_dim=3, rope_dim=2, rank=5)",
    {"heads": "4", "head_dim": "6", "rope_dim": "4", "value_dim": "4", "rank": "6", "query_rank": "3"},
    MixerEvidence(CASES, oracles, PARTS, REFUSED, {"latent_attention(rope_dim=0)": "rope_dim must be >= 1, got 0"}),
)


def test_of_full_rank_it_is_attention():
    """With W_c = 1 on states of unit root mean square, and no shared key: what is left of it is the scale."""
    own = made("attention(heads=2, bias=False)")[2]
    x = states()
    x = x / jnp.sqrt(jnp.mean(x**2, axis=-1, keepdims=True))
    query = jnp.concatenate([own["query"]["kernel"] * np.sqrt(6 / 4), jnp.zeros((D, 2, 2))], -1)
    full = {"latent": jnp.eye(D), "latent_scale": jnp.ones(D), "shared_key": jnp.ones((D, 2)), "query": query}
    full |= {name: own[name]["kernel"] for name in ("key", "value", "output")}
    found = outputs(f"latent_attention(heads=2, head_dim=4, rope_dim=2, rank={D})", full, x, encoding="rope")
    np.testing.assert_allclose(found, outputs("attention(heads=2, bias=False)", own, x), atol=1e-5)
