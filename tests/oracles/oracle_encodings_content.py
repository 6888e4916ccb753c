"""Content-dependent encodings inside attention: other packages' layers where they have them, else torch on the formulas."""

import warnings
from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np

import attention
from attention.records import Call
from tests.support.oracle_packages import F, torch
from tests.support.witness import FLOAT32, Witness

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from transformers.models.deberta_v2.modeling_deberta_v2 import DebertaV2Config, DisentangledSelfAttention
    from transformers.models.t5.modeling_t5 import T5Attention
    from transformers.models.xlnet.modeling_xlnet import XLNetRelativeAttention
    from x_transformers.x_transformers import CoPE, DataDependentAlibi

B, T, N, H, L = 2, 9, 4, 6, 12
D = N * H


def _normal(seed, *shape, scale=1.0):
    return np.random.default_rng([29, seed]).normal(0.0, scale, shape)


QKV = tuple(_normal(seed, B, T, N, H) for seed in range(3))
X = _normal(3, B, T, D)
LATER = torch.ones(T, T, dtype=torch.bool).triu(1)


def _attend(spec, names, mask="full", shared=()):
    """Attention of ours by query, key, value and the parameters ``names``; those in ``shared`` belong to all layers."""

    def ours(query, key, value, *given):
        params = dict(zip(names, given, strict=True))
        pair = tuple({n: p for n, p in params.items() if (n in shared) == common} for common in (True, False))
        return attention.attend(query, key, value, encoding=spec, mask=mask, params={"encoding": pair})

    return ours


def _from_scores(terms, causal=False, scale=H**-0.5):
    """Attention in torch with ``terms(q, k, *own) [B N T T]`` added to the products before scaling."""

    def theirs(query, key, value, *own):
        scores = (torch.einsum("binh,bjnh->bnij", query, key) + terms(query, key, *own)) * scale
        scores = scores.masked_fill(LATER, -torch.inf) if causal else scores
        return torch.einsum("bnij,bjnh->binh", torch.softmax(scores, -1), value)

    return theirs


def _distances(first, last):
    """Sinusoids of the distances ``first``, first - 1, ... above ``last``, all sines and then all cosines."""

    def of(size):
        frequencies = 10000.0 ** (-torch.arange(0, size, 2, dtype=torch.float64) / size)
        angles = torch.arange(first, last, -1, dtype=torch.float64)[:, None] * frequencies
        return torch.cat([angles.sin(), angles.cos()], -1)

    return of


def _xlnet(query, key, value, kernel, u, v):
    of = SimpleNamespace(
        r_w_bias=u, r_r_bias=v, scale=H**-0.5, dropout=torch.nn.Identity(), rel_shift_bnij=XLNetRelativeAttention.rel_shift_bnij
    )
    rows = torch.einsum("rd,dnh->rnh", _distances(T, -T)(D), kernel)[:, None].expand(-1, B, -1, -1)
    query, key, value = (each.transpose(0, 1) for each in (query, key, value))
    return XLNetRelativeAttention.rel_attn_core(of, query, key, value, rows).transpose(0, 1)


def _tener(query, key, value, u, v):
    code = _distances(T - 1, -T)(H)  # of T-1, ..., 1-T
    index = T - 1 - (torch.arange(T)[:, None] - torch.arange(T))
    terms = torch.einsum("bjnh,nh->bnj", key, u)[:, :, None]
    terms = terms + torch.einsum("binh,ijh->bnij", query + v, code[index])
    scores = torch.einsum("binh,bjnh->bnij", query, key) + terms
    return torch.einsum("bnij,bjnh->binh", torch.softmax(scores, -1), value)


def _unscaled(query, key, value, u, v):
    pair = {"encoding": ({}, {"u": u, "v": v})}
    return attention.attend(query, key, value, encoding="tener", score="dot", params=pair)


def _music(query, key, table):
    """The padding and reshaping of the paper."""
    products = torch.einsum("binh,lnh->bnil", query, table[L - T :])
    return F.pad(products, (1, 0)).reshape(B, N, T + 1, T)[:, :, 1:]


def _deberta(buckets):
    options = {"position_buckets": 8, "max_relative_positions": 16} if buckets else {"max_relative_positions": 5}
    config = DebertaV2Config(
        hidden_size=D, num_attention_heads=N, relative_attention=True, pos_att_type=["c2p", "p2c"], **options
    )
    module = DisentangledSelfAttention(config).double().eval()
    rows = 2 * (8 if buckets else 5)
    names = [f"{name}.weight" for name in ("query_proj", "key_proj", "value_proj", "pos_key_proj", "pos_query_proj")]
    zeros = {name: torch.zeros(D, dtype=torch.float64) for name, _ in module.named_parameters() if name.endswith("bias")}

    def theirs(x, table, *weights):
        given = {**zeros, **dict(zip(names, weights, strict=True))}
        everyone = torch.ones(B, 1, T, T)
        return torch.func.functional_call(module, given, (x, everyone), {"rel_embeddings": table})[0]

    spec = "deberta(max_distance=16)" if buckets else "deberta(max_distance=5, buckets=none)"

    def ours(x, table, *weights):
        query, key, value = ((x @ w.T).reshape(B, T, N, H) for w in weights[:3])
        own = {name: w.T.reshape(D, N, H) for name, w in zip(("key", "query"), weights[3:])}
        params = {"encoding": ({"table": table}, own)}
        return attention.attend(query, key, value, encoding=spec, params=params).reshape(B, T, D)

    weights = [_normal(10 + i, D, D, scale=0.3) for i in range(5)]
    return Witness(ours, theirs, (X, _normal(9, rows, D), *weights), FLOAT32)


def _tupe(untied):
    bucket = T5Attention._relative_position_bucket(torch.arange(T) - torch.arange(T)[:, None], num_buckets=32)
    if untied:
        bucket[:, 0], bucket[0] = 32, 16

    def theirs(query, key, value, table, gain, offset, to_query, to_key, relative):
        codes = F.layer_norm(table, (D,), gain, offset)[: T + untied]
        bias = torch.einsum("id,dnh,je,enh->nij", codes, to_query, codes, to_key)
        if untied:
            first, others, bias = bias[:, 0, 0], bias[:, 1, 1], bias[:, 1:, 1:].clone()
            bias[:, :, 0], bias[:, 0, :] = others[:, None], first[:, None]
        scale = (2 * H) ** -0.5
        return _from_scores(lambda q, k: bias + relative[bucket].moveaxis(-1, 0) / scale, scale=scale)(query, key, value)

    names = ("table", "gain", "offset", "query", "key", "relative")
    own = [_normal(20, L + untied, D), 1 + _normal(21, D), _normal(22, D)]
    own += [_normal(23, D, N, H, scale=0.2), _normal(24, D, N, H, scale=0.2), _normal(25, 32 + untied, N)]
    ours = _attend(f"tupe(relative=t5, untie_cls={bool(untied)})", names, shared=names)
    return Witness(ours, theirs, (*QKV, *own), 1e-10)


def _cope(scaling):
    module = CoPE(H, N, 5).double()

    def theirs(query, key, value, table):
        products = torch.einsum("binh,bjnh->bnij", query, key) * H**-0.5
        hidden = products.masked_fill(LATER, -torch.finfo(products.dtype).max)
        given = {"pos_emb": table * (H**-0.5 if scaling == "official" else 1.0)}
        terms = torch.func.functional_call(module, given, (query.transpose(1, 2), hidden))
        scores = (products + terms).masked_fill(LATER, -torch.inf)
        return torch.einsum("bnij,bjnh->binh", torch.softmax(scores, -1), value)

    ours = _attend(f"cope(max_position=5, scaling={scaling})", ("earlier",), mask="causal")
    return Witness(ours, theirs, (*QKV, _normal(30, 5, H)))


def _fox(both):
    module = DataDependentAlibi(D, N, causal=not both).double()
    heads = N * (1 + both)

    def theirs(x, kernel, bias):
        found = torch.func.functional_call(module, {"to_forget_gates.0.weight": kernel, "to_forget_gates.0.bias": bias}, (x,))
        return found if both else found.tril()

    def ours(x, kernel, bias):
        spec = "fox(direction=both)" if both else "fox"
        record = attention.build("encoding", spec)
        names = ("earlier", "later")[: 1 + both]
        split = lambda i: slice(i * N, (i + 1) * N)
        own = {name: {"kernel": kernel[split(i)].T, "bias": bias[split(i)]} for i, name in enumerate(names)}
        query, call = jnp.zeros((B, T, N, H)), Call()
        return record.bias(({}, own), *record.prepare(({}, own), x, query, query, call), call)

    return Witness(ours, theirs, (X, _normal(40, heads, D), _normal(41, heads)))


ENCODINGS = {
    "transformer_xl": {
        "transformers XLNet rel_attn_core": Witness(
            _attend("transformer_xl", ("kernel", "u", "v")),
            _xlnet,
            (*QKV, _normal(5, D, N, H, scale=0.2), _normal(6, N, H), _normal(7, N, H)),
            FLOAT32,
        )
    },
    "tener": {
        "torch: table of distances, unscaled": Witness(_unscaled, _tener, (*QKV, _normal(6, N, H), _normal(7, N, H)), FLOAT32)
    },
    "music": {
        "torch: pad and reshape": Witness(
            _attend("music", ("table",), mask="causal"), _from_scores(_music, causal=True), (*QKV, _normal(8, L, N, H))
        )
    },
    "deberta": {"transformers DeBERTa v2, log buckets": _deberta(True), "transformers DeBERTa v2, clipped": _deberta(False)},
    "tupe": {"torch F.layer_norm, T5Attention, untied": _tupe(1), "torch F.layer_norm, T5Attention": _tupe(0)},
    "cope": {f"x-transformers CoPE, {scaling}": _cope(scaling) for scaling in ("paper", "official")},
    "fox": {"x-transformers DataDependentAlibi": _fox(False), "x-transformers DataDependentAlibi, both": _fox(True)},
}
