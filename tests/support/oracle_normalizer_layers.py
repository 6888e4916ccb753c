"""Normalizers inside attention: other packages' attention functions and whole layers on the same queries, keys and values."""

import math
from types import SimpleNamespace

import numpy as np

import attention
from attention.records import Call
from tests.support.oracle_packages import (
    CohereAttention,
    CohereConfig,
    DiffLlamaAttention,
    DiffLlamaConfig,
    F,
    Llama4TextAttention,
    Llama4TextConfig,
    Olmo2Attention,
    Olmo2Config,
    Qwen3Attention,
    Qwen3Config,
    Swinv2Config,
    Swinv2SelfAttention,
    flex_attention,
    gemma2,
    gpt_oss,
    torch,
    x_attend,
    x_l2norm,
)
from tests.support.witness import FLOAT32, Witness

B, T, S, N, K, H = 2, 7, 9, 4, 2, 4
D = N * H
ZERO, LAYER = {}, 2


def _normal(seed, *shape, scale=1.0):
    return np.random.default_rng([11, seed]).normal(0.0, scale, shape)


def _inputs(heads=N, length=S, open_examples=False):
    """Query, key, value, and the keys that are text; the second example has none unless all are to be open."""
    where = np.random.default_rng(12).random((B, length)) > 0.3
    where[0, 0], where[1] = True, open_examples
    query = _normal(0, B, T if length == S else length, N, H, scale=2.0)
    return query, _normal(1, B, length, heads, H), _normal(2, B, length, heads, H), where


def _ours(normalizer, *names, **options):
    """Attention of ours; ``names`` are the normalizer's parameters, given after the mask."""

    def ours(query, key, value, where, *own):
        params = {"normalizer": (ZERO, dict(zip(names, own)))} if names else None
        call = Call(k_valid=where, max_length=S)
        return attention.attend(query, key, value, normalizer=normalizer, params=params, call=call, **options)

    return ours


def _heads_first(function):
    """For packages whose heads come before the length."""

    def theirs(query, key, value, where, *own):
        return function(*(x.transpose(1, 2) for x in (query, key, value)), where[:, None, None, :], *own).transpose(1, 2)

    return theirs


def x_transformers(normalizer, names=(), parameters=(), own=(), prepare=lambda q, k: (q, k), **options):
    """x-transformers' ``Attend``, where ``qk_norm`` means no more than a softmax in the type of its input."""
    module = x_attend.Attend(heads=N, **{"qk_norm": True, **options}).double().eval()

    def theirs(query, key, value, where, *given):
        query, key = prepare(query, key)
        if options.get("causal"):
            where = None
        return torch.func.functional_call(module, dict(zip(parameters, given)), (query, key, value), {"mask": where})[0]

    query, key, value, where = _inputs(heads=N, length=T if options.get("causal") else S)
    where = where | bool(options.get("causal"))
    ours = _ours(normalizer, *names, mask="causal" if options.get("causal") else "full")
    return Witness(ours, _heads_first(theirs), (query, key, value, where, *own))


def _slot():
    """Inverted attention takes the padded queries apart from the keys."""
    module = x_attend.Attend(heads=N, inverted_attention=True, qk_norm=True).double().eval()
    rows = np.random.default_rng(13).random((B, T)) > 0.3

    def ours(query, key, value, where, rows):
        both = rows[:, None, :, None] & where[:, None, None, :]
        return attention.attend(query, key, value, normalizer="slot(epsilon=0)", where=both)

    def theirs(query, key, value, where, rows):
        found = module(*(x.transpose(1, 2) for x in (query, key, value)), mask=where[:, None, None, :], row_mask=rows)
        return found[0].transpose(1, 2)

    return Witness(ours, theirs, (*_inputs(heads=N), rows))


def _additive(where):
    return torch.zeros(where.shape, dtype=torch.float64).masked_fill(~where, -torch.inf)


def _transformers(normalizer, forward, *names, own=(), module=lambda given: {}, tolerance=1e-11, **options):
    """The eager attention function of a model in transformers, whose heads come second and whose output is as ours."""

    def theirs(query, key, value, where, *given):
        of = SimpleNamespace(num_key_value_groups=N // K, training=False, **module(given))
        query, key, value = (x.transpose(1, 2) for x in (query, key, value))
        return forward(of, query, key, value, _additive(where[:, None, None, :]), scaling=H**-0.5, **options)[0]

    return Witness(_ours(normalizer, *names), theirs, (*_inputs(heads=K, open_examples=True), *own), tolerance)


def _layer(module, normalizer, *own, to_own, their_names, tolerance=FLOAT32, order=None, kv_heads=K):
    """A whole attention layer of transformers under a causal mask, its rotations those by zero.

    ``own`` are the values of ``their_names``, and ``to_own`` makes our parameters of them; ``order`` is that of the heads.
    """
    projections = [f"{name}_proj.weight" for name in "qkvo"]
    names, module = [*projections, *their_names], module.double().eval()

    def theirs(x, *given):
        turn = (torch.ones(B, T, H, dtype=x.dtype), torch.zeros(B, T, H, dtype=x.dtype))
        causal = _additive(torch.ones(T, T, dtype=torch.bool).tril())[None, None]
        return torch.func.functional_call(module, dict(zip(names, given)), (x, turn), {"attention_mask": causal})[0]

    def ours(x, wq, wk, wv, wo, *given):
        query, key, value = ((x @ w.T).reshape(B, T, -1, H)[:, :, order or slice(None)] for w in (wq, wk, wv))
        given = {"params": {"normalizer": (ZERO, to_own(*given))}, "call": Call(layer=LAYER)}
        output = attention.attend(query, key, value, normalizer=normalizer, mask="causal", **given)
        return output.reshape(B, T, D) @ wo.T

    weights = [_normal(20 + i, (kv_heads if i in (1, 2) else N) * H, D, scale=0.5) for i in range(4)]
    return Witness(ours, theirs, (_normal(3, B, T, D), *weights, *own), tolerance)


def _config(kind, **options):
    config = kind(hidden_size=D, num_attention_heads=N, num_key_value_heads=options.pop("kv", K), head_dim=H, **options)
    config._attn_implementation = "eager"
    return config


def _norms(kind, layer, normalizer, q_shape, k_shape, to_own, **options):
    """Layers with norms on queries and keys."""
    weights = (1 + _normal(4, *q_shape, scale=0.3), 1 + _normal(5, *k_shape, scale=0.3))
    names = ("q_norm.weight", "k_norm.weight")
    return _layer(layer(_config(kind, **options), 0), normalizer, *weights, to_own=to_own, their_names=names)


def _cohere():
    """LayerNorm with a weight per head and dimension, where ours are shared by the heads."""
    config = _config(CohereConfig, use_qk_norm=True, layer_norm_eps=1e-6)
    witness = _layer(
        CohereAttention(config, 0),
        "qk_norm(form=layernorm)",
        1 + _normal(4, H, scale=0.3),
        1 + _normal(5, H, scale=0.3),
        to_own=lambda q, k: {"query": q, "key": k},
        their_names=("q_norm.weight", "k_norm.weight"),
    )
    plain = witness.theirs
    return witness._replace(theirs=lambda *given: plain(*given[:-2], given[-2].expand(N, H), given[-1].expand(K, H)))


def _diffllama():
    """Their heads h and h + N/2 are the two maps of one, ours 2h and 2h + 1."""
    config = _config(DiffLlamaConfig, kv=N, rms_norm_eps=1e-5)
    return _layer(
        DiffLlamaAttention(config, LAYER),
        "differential",
        *(_normal(30 + i, H, scale=0.4) for i in range(4)),
        to_own=lambda *four: dict(zip(("q1", "k1", "q2", "k2"), four)),
        their_names=("lambda_q1", "lambda_k1", "lambda_q2", "lambda_k2"),
        order=[0, 2, 1, 3],
        kv_heads=N,
    )


def _llama4():
    """The layers without rotations, where queries are scaled by position."""
    config = _config(
        Llama4TextConfig, attn_temperature_tuning=True, attn_scale=0.3, floor_scale=3, no_rope_layers=[0], num_hidden_layers=1
    )
    return _layer(
        Llama4TextAttention(config, 0), "pos_temp(scale=0.3, floor=3)", to_own=lambda: ZERO, their_names=(), tolerance=1e-11
    )


def _swin():
    """The position bias is 8 everywhere for a network of zeros. One of the scales is above the clamp."""
    module = Swinv2SelfAttention(Swinv2Config(qkv_bias=False), D, N, (3, 3)).double().eval()
    zeros = {
        name: torch.zeros_like(weight) for name, weight in module.named_parameters() if name.startswith("continuous_position")
    }

    def theirs(x, wq, wk, wv, scale):
        given = {"query.weight": wq, "key.weight": wk, "value.weight": wv, "logit_scale": scale[:, None, None]}
        return torch.func.functional_call(module, given | zeros, (x,))[0]

    def ours(x, wq, wk, wv, scale):
        query, key, value = ((x @ w.T).reshape(B, 9, N, H) for w in (wq, wk, wv))
        params = {"normalizer": (ZERO, {"log_scale": scale})}
        return attention.attend(query, key, value, normalizer="qk_norm(form=l2_head_clamp)", params=params).reshape(B, 9, D)

    scale = np.array([1.0, math.log(10.0), 3.0, math.log(100.0) + 0.5])
    return Witness(ours, theirs, (_normal(3, B, 9, D), *(_normal(20 + i, D, D, scale=0.5) for i in range(3)), scale))


def _flex(normalizer, mask, score_mod):
    """FlexAttention without compilation: any mask, and any change of the scores. It has no gradient on a CPU."""

    def theirs(query, key, value, where):
        query, key, value = (x.detach().transpose(1, 2) for x in (query, key, value))
        allowed = lambda s, b, h, i, j: torch.where(where[b, j], score_mod(s, i, j), -torch.inf)
        return flex_attention(query, key, value, score_mod=allowed, enable_gqa=True).transpose(1, 2)

    return Witness(_ours(normalizer, mask=mask), theirs, _inputs(heads=K, length=T), gradient=False)


def _off_by_one():
    """Queries, keys and values as they are for projections; the example without a key gives zeros there too."""
    module = torch.nn.MultiheadAttention(D, N, bias=False, add_zero_attn=True, batch_first=True).double()
    torch.nn.init.eye_(module.out_proj.weight)
    with torch.no_grad():
        module.in_proj_weight.copy_(torch.eye(D).repeat(3, 1))

    def theirs(query, key, value, where):
        found = module(*(x.flatten(2) for x in (query, key, value)), key_padding_mask=~where, need_weights=False)
        return found[0].reshape(B, T, N, H)

    return Witness(_ours("softmax1"), theirs, _inputs(heads=N))


def _rectified(query, key, value, where, scale, gate):
    scores = F.relu(query @ key.transpose(-1, -2) / math.sqrt(H)).masked_fill(~where, 0.0)
    x = (scores @ value).transpose(1, 2).flatten(2)
    x = F.rms_norm(x, (D,), scale.flatten(), eps=1e-6) * torch.sigmoid(gate.flatten() * x)
    return x.reshape(B, T, N, H).transpose(1, 2)


def _stick(query, key, value, where):
    """β of the nearest key before the query, then of the next one, and the query's own key for what is left."""
    share = torch.sigmoid(query @ key.transpose(-1, -2) / math.sqrt(H))
    rows = []
    for i in range(T):
        weights = [torch.zeros_like(share[..., 0, 0])] * T
        left = torch.ones_like(share[..., 0, 0])
        for j in reversed(range(i)):
            weights[j] = share[..., i, j] * left
            left = left * (1 - share[..., i, j])
        weights[i] = left
        rows.append(torch.stack(weights, -1))
    return torch.stack(rows, -2) @ value


def _fixed_scale(gain):
    """Cosines times a number in torch's own attention."""
    return lambda q, k, v, where, *own: F.scaled_dot_product_attention(
        F.normalize(q, dim=-1) * (own[0] if own else gain), F.normalize(k, dim=-1), v, attn_mask=where, scale=1.0
    )


def _sdpa(q, k, v, where):
    return F.scaled_dot_product_attention(q, k, v, attn_mask=where, enable_gqa=True)


SINKS = np.array([-1.0, 0.0, 0.5, 2.0])
LAYERS = {
    "softmax": {
        "torch SDPA, grouped keys": Witness(_ours("softmax"), _heads_first(_sdpa), _inputs(heads=K)),
        "FlexAttention, causal": _flex("softmax", "causal", lambda s, i, j: torch.where(i >= j, s, -torch.inf)),
        "FlexAttention, causal & local": _flex(
            "softmax", "causal & local(window=4)", lambda s, i, j: torch.where((i >= j) & (i - j <= 2), s, -torch.inf)
        ),
    },
    "sigmoid": {"x-transformers sigmoid": x_transformers("sigmoid(bias=0)", sigmoid=True)},
    "softmax1": {
        "torch MultiheadAttention(add_zero_attn)": _off_by_one(),
        "x-transformers add_zero_kv": x_transformers("softmax1", add_zero_kv=True),
    },
    "sink": {
        "transformers gpt_oss": _transformers(
            "sink", gpt_oss.eager_attention_forward, "logit", own=(SINKS,), module=lambda given: {"sinks": given[0]}
        ),
        "x-transformers head_learned_sink": x_transformers(
            "sink", ("logit",), ("head_attn_sink",), (SINKS,), head_learned_sink=True
        ),
    },
    "hard": {"x-transformers hard": x_transformers("hard", hard=True)},
    "topk": {"x-transformers sparse_topk": x_transformers("topk(k=2)", sparse_topk=2)},
    "cog": {"x-transformers cog_signed": x_transformers("cog", cog_signed=True)},
    "slot": {"x-transformers inverted_attention": _slot()},
    "selective": {"x-transformers selective": x_transformers("selective", selective=True, causal=True)},
    "softcap": {
        "transformers gemma2": _transformers("softcap(cap=2)", gemma2.eager_attention_forward, softcap=2.0, tolerance=FLOAT32),
        "x-transformers softclamp_logits": x_transformers("softcap(cap=2)", softclamp_logits=True, logit_softclamp_value=2.0),
        "FlexAttention": _flex("softcap(cap=2)", "full", lambda s, i, j: 2 * torch.tanh(s / 2)),
    },
    "qk_norm": {
        "transformers Qwen3 (rms_head)": _norms(
            Qwen3Config,
            Qwen3Attention,
            "qk_norm(form=rms_head)",
            (H,),
            (H,),
            lambda q, k: {"query": q, "key": k},
            rms_norm_eps=1e-6,
        ),
        "transformers OLMo2 (rms_full)": _norms(
            Olmo2Config,
            Olmo2Attention,
            "qk_norm(form=rms_full)",
            (N * H,),
            (K * H,),
            lambda q, k: {"query": q.reshape(N, H), "key": k.reshape(K, H)},
            rms_norm_eps=1e-6,
        ),
        "transformers Cohere (layernorm)": _cohere(),
        "transformers SwinV2 (l2_head_clamp)": _swin(),
        "x-transformers l2norm (l2_fixed)": x_transformers(
            "qk_norm(form=l2_fixed)", scale=10.0, prepare=lambda q, k: (x_l2norm(q), x_l2norm(k))
        ),
        "torch F.normalize, SDPA (l2_fixed)": Witness(
            _ours("qk_norm(form=l2_fixed)"), _heads_first(_fixed_scale(10.0)), _inputs(heads=N)
        ),
        "torch F.normalize, SDPA (l2_scale)": Witness(
            _ours("qk_norm(form=l2_scale)", "scale"), _heads_first(_fixed_scale(None)), (*_inputs(heads=N), np.array(7.0))
        ),
    },
    "differential": {"transformers DiffLlama": _diffllama()},
    "pos_temp": {"transformers Llama4": _llama4()},
    "rela": {
        "torch F.relu, F.rms_norm, sigmoid": Witness(
            _ours("rela", "scale", "gate"),
            _heads_first(_rectified),
            (*_inputs(heads=N), 1 + _normal(6, N, H, scale=0.3), _normal(7, N, H)),
        ),
    },
    "stick_breaking": {
        "torch loop, remainder to itself": Witness(
            _ours("stick_breaking(remainder=self)", mask="causal"),
            _heads_first(_stick),
            (*_inputs(heads=N, length=T)[:3], np.ones((B, T), bool)),
        ),
    },
}
