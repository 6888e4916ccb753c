"""Evidence of attention itself, its grouped keys, talking heads and learned keys."""

import jax
import jax.numpy as jnp
import numpy as np

from tests.support.evidence import MixerCase, MixerEvidence
from tests.support.mixers import BOTH, HEADS, MHA, PARTS, VALID, D, N, T, attend, flat, made, outputs, states, witness
from tests.support.mixers import torch_out as out
from tests.support.mixers import torch_qkv as qkv
from tests.support.row import Row


def oracles():
    from tests.support.oracle_packages import F, torch, x_attend

    def mha(causal):
        def theirs(x, p):
            bias = torch.cat([p[name]["bias"].flatten() for name in ("query", "key", "value")])
            weight = torch.cat([flat(p[name]) for name in ("query", "key", "value")])
            mask = torch.triu(torch.ones(len(x), len(x), dtype=torch.bool), 1) if causal else None
            found, _ = F.multi_head_attention_forward(
                x[:, None], x[:, None], x[:, None], D, 2, weight, bias, None, None, False, 0.0,
                p["output"]["kernel"].flatten(0, 1).T, p["output"]["bias"], attn_mask=mask,
            )  # fmt: skip
            return found[:, 0]

        return theirs

    def grouped(x, p):
        return out(F.scaled_dot_product_attention(*qkv(x, p), enable_gqa=True), p)

    def talking(x, p):
        """x-transformers adds what it mixes to the scores: P there is P - 1 here."""
        module = x_attend.Attend(heads=2, pre_talking_heads=True, post_talking_heads=True, qk_norm=True, scale=0.5)
        given = {
            "pre_softmax_talking_heads.weight": (p["talking"]["scores"] - torch.eye(2))[:, :, None, None],
            "post_softmax_talking_heads.weight": p["talking"]["weights"][:, :, None, None],
        }
        return out(torch.func.functional_call(module.double().eval(), given, tuple(qkv(x, p)))[0], p)

    def memory(x, p):
        q, k, v = qkv(x, p)
        k, v = (torch.cat([p["memory"][name].transpose(0, 1)[None], y], dim=2) for name, y in (("key", k), ("value", v)))
        return out(F.scaled_dot_product_attention(q, k, v, enable_gqa=True), p)

    return {
        "torch MHA": witness("attention(heads=2)", mha(False)),
        "torch MHA, causal": witness("attention(heads=2)", mha(True), "causal"),
        "torch SDPA, grouped": witness("attention(heads=4, kv_heads=2)", grouped),
        "x-transformers, talking heads": witness("attention(heads=2, talking_heads=True)", talking),
        "torch SDPA, learned keys": witness("attention(heads=2, memory=3)", memory),
    }


GROUPED = 2 * (D * D + D) + 2 * (D * 4 + 4)
CASES = (
    MixerCase("attention(heads=2)", attend, MHA, masks=BOTH),
    MixerCase("attention(heads=2, projections=qkv)", attend, 3 * (D * D + D), masks=BOTH),
    MixerCase("attention(heads=2, projections=none)", attend, 0, masks=BOTH),
    MixerCase("attention(heads=4, kv_heads=2)", attend, GROUPED, masks=BOTH),
    MixerCase("attention(heads=2, talking_heads=True)", attend, MHA + 2 * N * N, masks=BOTH, chunked="alibi"),
    MixerCase("attention(heads=2, kv_heads=1, memory=3)", attend, GROUPED + 2 * 3 * 4, masks=BOTH, chunked="rope"),
)
REFUSED = (
    (
        {"mixer": "attention(talking_heads=True)", "normalizer": "differential"},
        "with normalizer=differential: talking_heads mixes heads",
    ),
    ({"mixer": "attention(memory=2)", "encoding": "t5"}, "with encoding=t5: .* a learned key has no position"),
    ({"mixer": "attention(memory=2)", "score": "location"}, "with score=location: this score goes by positions"),
)
ERRORS = {
    "attention(heads=4, kv_heads=3)": "kv_heads must divide heads, got 3 and 4",
    "attention(memory=-1)": "memory must be >= 0, got -1",
}
ROW = Row(
    "attention(heads=2)",
    {
        **HEADS,
        "kv_heads": "1",
        "gate": "head",
        "talking_heads": "True",
        "memory": "2",
        "projections": ("qkv", "none"),
    },
    MixerEvidence(CASES, oracles, PARTS, REFUSED, ERRORS),
)


def test_grouped_heads_with_equal_keys_are_plain_heads():
    own = made("attention(heads=4, kv_heads=2)")[2]
    repeated = {
        name: jax.tree.map(lambda leaf: jnp.repeat(leaf, 2, axis=-2), layer) if name in ("key", "value") else layer
        for name, layer in own.items()
    }
    x = states()
    np.testing.assert_allclose(
        outputs("attention(heads=4)", repeated, x), outputs("attention(heads=4, kv_heads=2)", own, x), atol=1e-6
    )


def test_talking_heads_with_identities_are_plain_heads():
    own = made("attention(heads=2)")[2]
    x, eye = states(), {"talking": {"scores": jnp.eye(2), "weights": jnp.eye(2)}}
    found = outputs("attention(heads=2, talking_heads=True)", {**own, **eye}, x, VALID, "causal", "alibi")
    np.testing.assert_allclose(found, outputs("attention(heads=2)", own, x, VALID, "causal", "alibi"), atol=1e-6)


def test_learned_keys_are_seen_whatever_the_mask():
    """A query that may attend to no token attends to the learned keys, and a rotation does not move them."""
    spec = "attention(heads=2, memory=3)"
    own, x = made(spec)[2], states()
    nothing = outputs(spec, own, x, jnp.zeros((3, T), bool), "causal")
    np.testing.assert_allclose(nothing[0], outputs(spec, own, x[:1], jnp.zeros((1, T), bool))[0], atol=1e-6)
    assert np.abs(nothing[:, :, None] - own["output"]["bias"]).max() > 1e-2
    moved = {"q_positions": jnp.arange(T)[None] + 7, "k_positions": jnp.arange(T)[None] + 7}
    assert not np.allclose(outputs(spec, own, x, encoding="rope"), outputs(spec, own, x, encoding="rope", **moved), atol=1e-4)
