"""Witnesses of normalizers inside attention: other packages' attention and whole layers on the same arrays."""

# ruff: noqa: F401 (the packages are for the evidence, too)
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
LAYER = 2


def normal(seed, *shape, scale=1.0):
    return np.random.default_rng([11, seed]).normal(0.0, scale, shape)


def inputs(heads=N, length=S, open_examples=False):
    """Query, key, value, and the keys that are text; the second example has none unless all are to be open."""
    where = np.random.default_rng(12).random((B, length)) > 0.3
    where[0, 0], where[1] = True, open_examples
    query = normal(0, B, T if length == S else length, N, H, scale=2.0)
    return query, normal(1, B, length, heads, H), normal(2, B, length, heads, H), where


def ours_of(normalizer, *names, **options):
    """Attention of ours; ``names`` are the normalizer's parameters, given after the mask."""

    def ours(query, key, value, where, *own):
        params = {"normalizer": dict(zip(names, own))} if names else None
        call = Call(k_valid=where, max_length=S)
        return attention.attend(query, key, value, normalizer=normalizer, params=params, call=call, **options)

    return ours


def heads_first(function):
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

    query, key, value, where = inputs(heads=N, length=T if options.get("causal") else S)
    where = where | bool(options.get("causal"))
    ours = ours_of(normalizer, *names, mask="causal" if options.get("causal") else "full")
    return Witness(ours, heads_first(theirs), (query, key, value, where, *own))


def additive(where):
    return torch.zeros(where.shape, dtype=torch.float64).masked_fill(~where, -torch.inf)


def transformers(normalizer, forward, *names, own=(), module=lambda given: {}, tolerance=1e-11, **options):
    """The eager attention function of a model in transformers, whose heads come second and whose output is as ours."""

    def theirs(query, key, value, where, *given):
        of = SimpleNamespace(num_key_value_groups=N // K, training=False, **module(given))
        query, key, value = (x.transpose(1, 2) for x in (query, key, value))
        return forward(of, query, key, value, additive(where[:, None, None, :]), scaling=H**-0.5, **options)[0]

    return Witness(ours_of(normalizer, *names), theirs, (*inputs(heads=K, open_examples=True), *own), tolerance)


def layer(module, normalizer, *own, to_own, their_names, tolerance=FLOAT32, order=None, kv_heads=K):
    """A whole attention layer of transformers under a causal mask, its rotations those by zero.

    ``own`` are the values of ``their_names``, and ``to_own`` makes our parameters of them; ``order`` is that of the heads.
    """
    projections = [f"{name}_proj.weight" for name in "qkvo"]
    names, module = [*projections, *their_names], module.double().eval()

    def theirs(x, *given):
        turn = (torch.ones(B, T, H, dtype=x.dtype), torch.zeros(B, T, H, dtype=x.dtype))
        causal = additive(torch.ones(T, T, dtype=torch.bool).tril())[None, None]
        return torch.func.functional_call(module, dict(zip(names, given)), (x, turn), {"attention_mask": causal})[0]

    def ours(x, wq, wk, wv, wo, *given):
        query, key, value = ((x @ w.T).reshape(B, T, -1, H)[:, :, order or slice(None)] for w in (wq, wk, wv))
        given = {"params": {"normalizer": to_own(*given)}, "call": Call(layer=LAYER)}
        output = attention.attend(query, key, value, normalizer=normalizer, mask="causal", **given)
        return output.reshape(B, T, D) @ wo.T

    weights = [normal(20 + i, (kv_heads if i in (1, 2) else N) * H, D, scale=0.5) for i in range(4)]
    return Witness(ours, theirs, (normal(3, B, T, D), *weights, *own), tolerance)


def config(kind, **options):
    made = kind(hidden_size=D, num_attention_heads=N, num_key_value_heads=options.pop("kv", K), head_dim=H, **options)
    made._attn_implementation = "eager"
    return made


def norms(kind, attention_layer, normalizer, q_shape, k_shape, to_own, **options):
    """Layers with norms on queries and keys."""
    weights = (1 + normal(4, *q_shape, scale=0.3), 1 + normal(5, *k_shape, scale=0.3))
    names = ("q_norm.weight", "k_norm.weight")
    return layer(attention_layer(config(kind, **options), 0), normalizer, *weights, to_own=to_own, their_names=names)


def flex(normalizer, mask, score_mod):
    """FlexAttention without compilation: any mask, and any change of the scores. It has no gradient on a CPU."""

    def theirs(query, key, value, where):
        query, key, value = (x.detach().transpose(1, 2) for x in (query, key, value))
        allowed = lambda s, b, h, i, j: torch.where(where[b, j], score_mod(s, i, j), -torch.inf)
        return flex_attention(query, key, value, score_mod=allowed, enable_gqa=True).transpose(1, 2)

    return Witness(ours_of(normalizer, mask=mask), theirs, inputs(heads=K, length=T), gradient=False)
