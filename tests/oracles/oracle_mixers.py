"""Mixers: packages, and torch expressions of published code, on every text alone. They see nothing but the valid states."""

import math

import jax
import jax.numpy as jnp
import numpy as np

from tests.support.mixer_layers import VALID, layer, made
from tests.support.mixer_rows import D, omega
from tests.support.oracle_mixer_packages import (
    DeepseekV2Attention,
    DeepseekV2Config,
    FNetBasicFourierTransform,
    FNetConfig,
    LinformerSelfAttention,
    NystromAttention,
    linear_attn,
    performer,
)
from tests.support.oracle_packages import F, torch, x_attend
from tests.support.witness import FLOAT32, Witness


def _states(valid):
    return np.random.default_rng(41).normal(size=(*valid.shape, D))


def of(spec, theirs, mask="full", encoding="none", valid=VALID, change=lambda own: own, **fields):
    """A witness of a mixer that is ``theirs(valid states, parameters)`` of each text; zeros at padding."""
    own = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), change(made(spec)[2]))
    leaves, structure = jax.tree.flatten(own)
    valid = np.asarray(valid)

    def ours(x, *leaves):
        found = layer(spec, mask, encoding)(jax.tree.unflatten(structure, leaves), x, jnp.asarray(valid))
        return jnp.where(valid[..., None], found, 0.0)

    def their(x, *leaves):
        params, found = jax.tree.unflatten(structure, leaves), []
        for states, n in zip(x, valid.sum(-1)):
            found.append(F.pad(theirs(states[:n], params), (0, 0, 0, int(x.shape[1] - n))))
        return torch.stack(found)

    return Witness(ours, their, (_states(valid), *leaves), **fields)


def heads(x, layer):
    """``[1 N n H]``, as torch has heads."""
    y = torch.einsum("nd,dkh->knh", x, layer["kernel"])
    return (y + layer["bias"][:, None] if "bias" in layer else y)[None]


def qkv(x, p, names=("query", "key", "value")):
    return (heads(x, p[name]) for name in names)


def out(y, p):
    """``[1 N n H]`` to ``[n D]``."""
    merged = torch.einsum("knh,khd->nd", y[0], p["output"]["kernel"])
    return merged + p["output"]["bias"] if "bias" in p["output"] else merged


def _linear(causal):
    """The feature map and sums of idiap/fast-transformers, ``LinearAttention`` and (as a matrix) its causal form."""

    def theirs(x, p):
        q, k, v = qkv(x, p)
        Q, K = F.elu(q) + 1, F.elu(k) + 1
        if not causal:
            Z = 1 / (torch.einsum("bnld,bnd->bnl", Q, K.sum(2)) + 1e-6)
            return out(torch.einsum("bnld,bndm,bnl->bnlm", Q, torch.einsum("bnsd,bnsm->bndm", K, v), Z), p)
        weights = torch.tril(Q @ K.transpose(-1, -2))
        return out(weights @ v / (weights.sum(-1, keepdim=True) + 1e-6), p)

    return theirs


def _efficient(x, p):
    q, k, v = qkv(x, p)
    return out(linear_attn(q.clone(), k.clone(), v.clone()), p)


def _performer(x, p):
    q, k, v = qkv(x, p)
    options = {"projection_matrix": torch.tensor(np.float64(omega(6)))}
    q, k = (performer.softmax_kernel(each, is_query=i == 0, **options) for i, each in enumerate((q, k)))
    return out(performer.linear_attention(q, k, v), p)


def _cosformer(length, causal):
    """OpenNLPLab/cosFormer: positions from 1, ``sin`` and ``cos`` of relu features, denominators of 1e-6 at least."""

    def theirs(x, p):
        q, k, v = qkv(x, p)
        n = x.shape[0]
        index = math.pi / 2 * torch.arange(1, n + 1, dtype=x.dtype)[:, None] / (length or n)
        q_, k_ = (torch.cat([F.relu(y) * torch.sin(index), F.relu(y) * torch.cos(index)], dim=-1) for y in (q, k))
        weights = q_ @ k_.transpose(-1, -2)
        weights = torch.tril(weights) if causal else weights
        return out(weights @ v / weights.sum(-1, keepdim=True).clamp_min(1e-6), p)

    return theirs


def _flat(layer):
    """A kernel ``[D N H]`` as the weight of a torch layer."""
    return layer["kernel"].flatten(1).T


def _linformer(share):
    def theirs(x, p):
        module = LinformerSelfAttention(D, 24, k=3, heads=2, share_kv=False).double()
        tables = ("table", "table") if share else ("key_table", "value_table")
        given = {f"to_{name[0]}.weight": _flat(p[name]) for name in ("query", "key", "value")}
        given |= {"proj_k": p[tables[0]], "proj_v": p[tables[1]]}
        given |= {"to_out.weight": p["output"]["kernel"].flatten(0, 1).T, "to_out.bias": torch.zeros(D, dtype=x.dtype)}
        return torch.func.functional_call(module, given, (x[None],))[0]

    return theirs


def _nystrom(x, p):
    """One head and one text, because the package takes the maxima of all of them."""
    module = NystromAttention(D, dim_head=D, heads=1, num_landmarks=3, residual_conv_kernel=5).double()
    given = {"to_qkv.weight": torch.cat([_flat(p[name]) for name in ("query", "key", "value")])}
    given |= {"to_out.0.weight": p["output"]["kernel"].flatten(0, 1).T, "to_out.0.bias": torch.zeros(D, dtype=x.dtype)}
    given |= {"res_conv.weight": p["conv"]["kernel"].T[:, None, :, None]}
    return torch.func.functional_call(module, given, (x[None],))[0]


def _fnet(x, p):
    module = FNetBasicFourierTransform(FNetConfig(hidden_size=D, use_tpu_fourier_optimizations=False))
    return module(F.pad(x, (0, 0, 0, 24 - len(x)))[None])[0][0, : len(x)]


def _aft(x, p):
    """Equation 2 of the paper, the exponentials as they are."""
    q, k, v = (each[0, 0] for each in qkv(x, p))
    n = len(x)
    w = p["pairs"][:n, :n] if "pairs" in p else torch.zeros(n, n, dtype=x.dtype)
    found = torch.sigmoid(q) * (torch.exp(w) @ (torch.exp(k) * v)) / (torch.exp(w) @ torch.exp(k))
    return out(found[None, None], p)


def _synthesizer(form):
    """SDPA of no queries, with the synthesised scores as its bias."""

    def theirs(x, p):
        v, n, score = heads(x, p["value"]), len(x), p["score"]
        if form == "dense":
            scores = F.relu(heads(x, p["query"])) @ score["table"][:, :n].transpose(-1, -2) + score["bias"][:, None, :n]
        else:
            scores = score["table"][None, :, :n, :n]
        return out(F.scaled_dot_product_attention(torch.zeros_like(v), torch.zeros_like(v), v, attn_mask=scores), p)

    return theirs


def _gau(x, p):
    """lucidrains/FLASH-pytorch, ``GAU``, on a text without padding."""
    v, gate = F.silu(x @ p["value"]), F.silu(x @ p["gate"])
    qk = F.silu(x @ p["base"])
    q, k = (torch.einsum("...d,hd->...hd", qk, p["scale"]) + p["offset"]).unbind(dim=-2)
    A = F.relu(q @ k.T / len(x)) ** 2
    return (A @ v * gate) @ p["output"]


def _mha(causal):
    def theirs(x, p):
        bias = torch.cat([p[name]["bias"].flatten() for name in ("query", "key", "value")])
        weight = torch.cat([_flat(p[name]) for name in ("query", "key", "value")])
        mask = torch.triu(torch.ones(len(x), len(x), dtype=torch.bool), 1) if causal else None
        found, _ = F.multi_head_attention_forward(
            x[:, None], x[:, None], x[:, None], D, 2, weight, bias, None, None, False, 0.0,
            p["output"]["kernel"].flatten(0, 1).T, p["output"]["bias"], attn_mask=mask,
        )  # fmt: skip
        return found[:, 0]

    return theirs


def _gqa(x, p):
    return out(F.scaled_dot_product_attention(*qkv(x, p), enable_gqa=True), p)


def _talking(x, p):
    """x-transformers adds what it mixes to the scores: P there is P - 1 here."""
    module = x_attend.Attend(heads=2, pre_talking_heads=True, post_talking_heads=True, qk_norm=True, scale=0.5).double().eval()
    given = {
        "pre_softmax_talking_heads.weight": (p["talking"]["scores"] - torch.eye(2))[:, :, None, None],
        "post_softmax_talking_heads.weight": p["talking"]["weights"][:, :, None, None],
    }
    return out(torch.func.functional_call(module, given, tuple(qkv(x, p)))[0], p)


def _memory(x, p):
    q, k, v = qkv(x, p)
    k, v = (torch.cat([p["memory"][name].transpose(0, 1)[None], y], dim=2) for name, y in (("key", k), ("value", v)))
    return out(F.scaled_dot_product_attention(q, k, v, enable_gqa=True), p)


def _latent(x, p):
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
    positions = torch.polar(torch.ones_like(angles), angles)[None]
    return torch.func.functional_call(module, given, (x[None],), {"position_embeddings": positions, "attention_mask": None})[0][
        0
    ]


def _longformer(x, p):
    """Masked SDPA for the rows in windows, and one of the second projections for the first row."""
    i = torch.arange(len(x))
    allowed = ((i[:, None] - i).abs() <= 1) | (i == 0) | (i[:, None] == 0)
    rows = F.scaled_dot_product_attention(*qkv(x, p), attn_mask=allowed)
    q, k, v = qkv(x, p, ("global_query", "global_key", "global_value"))
    first = F.scaled_dot_product_attention(q[:, :, :1], k, v)
    return out(torch.cat([first, rows[:, :, 1:]], dim=2), p)


def _bigbird(x, p):
    i = torch.arange(len(x)) // 2
    ends = (i == 0) | (i == i[-1])
    allowed = ((i[:, None] - i).abs() <= 1) | ends | ends[:, None]
    return out(F.scaled_dot_product_attention(*qkv(x, p), attn_mask=allowed), p)


LONG = np.arange(14) < np.array([[14], [9]])
WHOLE = np.ones((1, 6), bool)
MIXERS = {
    "linear": {
        "torch: fast-transformers": of("linear(heads=2)", _linear(False)),
        "torch: fast-transformers, causal": of("linear(heads=2)", _linear(True), "causal"),
    },
    "efficient": {"linear-attention-transformer": of("efficient(heads=2)", _efficient)},
    "performer": {"performer-pytorch": of("performer(heads=2, features=6)", _performer)},
    "cosformer": {
        "torch: cosFormer": of("cosformer(heads=2)", _cosformer(None, False)),
        "torch: cosFormer, causal": of("cosformer(heads=2, length=24)", _cosformer(24, True), "causal"),
    },
    "linformer": {
        "linformer": of("linformer(heads=2, rank=3, bias=False)", _linformer(False)),
        "linformer, one table": of("linformer(heads=2, rank=3, bias=False, share=kv)", _linformer(True)),
    },
    "nystrom": {"nystrom-attention": of("nystrom(heads=1, landmarks=3, conv=5, bias=False)", _nystrom, valid=WHOLE)},
    "fnet": {"transformers FNet": of("fnet", _fnet)},
    "aft": {"torch: equation 2": of("aft", _aft), "torch: simple": of("aft(form=simple)", _aft)},
    "synthesizer": {
        "torch SDPA, dense": of("synthesizer(heads=2)", _synthesizer("dense")),
        "torch SDPA, random": of("synthesizer(heads=2, form=random)", _synthesizer("random")),
    },
    "gau": {"torch: FLASH-pytorch": of("gau(key_dim=4)", _gau)},
    "attention": {
        "torch MHA": of("attention(heads=2)", _mha(False)),
        "torch MHA, causal": of("attention(heads=2)", _mha(True), "causal"),
        "torch SDPA, grouped": of("attention(heads=4, kv_heads=2)", _gqa),
        "x-transformers, talking heads": of("attention(heads=2, talking_heads=True)", _talking),
        "torch SDPA, learned keys": of("attention(heads=2, memory=3)", _memory),
    },
    "latent_attention": {
        "transformers DeepSeek-V2": of(
            "latent_attention(heads=2, head_dim=3, rope_dim=2, value_dim=4, rank=5, query_rank=6)",
            _latent, encoding="rope", tolerance=FLOAT32,
        )
    },
    "longformer": {"torch SDPA, twice": of("longformer(heads=2, window=2, globals=1)", _longformer, valid=LONG)},
    "bigbird": {"torch SDPA, blocks": of("bigbird(heads=2, block=2, random_blocks=0)", _bigbird, valid=LONG)},
}  # fmt: skip
