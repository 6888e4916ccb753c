"""Poolings: torch, and heads of other packages, on every text alone. They see nothing but the valid states."""

import math

import jax.numpy as jnp
import numpy as np

import attention
from tests.support.oracle_packages import F, SiglipMultiheadAttentionPoolingHead, SiglipVisionConfig, entmax, torch
from tests.support.witness import Witness

B, T, D, A, R, N, M = 7, 9, 6, 5, 3, 2, 8


def _normal(seed, *shape, scale=1.0):
    return np.random.default_rng([31, seed]).normal(0.0, scale, shape)


def _states():
    """States and which of them are text: of the first none, of the second all, then one, padding on either side, gaps."""
    where = np.random.default_rng(32).random((B, T)) > 0.4
    where[0], where[1], where[2] = False, True, np.arange(T) == 4
    where[3], where[4] = np.arange(T) < 6, np.arange(T) >= 6
    return _normal(0, B, T, D), where


def by_text(function):
    """The function of valid states ``[n D]`` and of parameters, applied to every text; zeros for an empty one."""

    def theirs(x, where, *params):
        found = [function(states[open_], *params) if open_.any() else None for states, open_ in zip(x, where)]
        like = next(y for y in found if y is not None)
        return torch.stack([torch.zeros_like(like) if y is None else y for y in found])

    return theirs


def of(ours, theirs, *params, **fields):
    """A witness of ``ours(x, where, *params)`` that is ``theirs(valid states, *params)`` of each text."""
    return Witness(ours, by_text(theirs), (*_states(), *params), **fields)


def _channels(z):
    """``[1 D n]``, as torch pools."""
    return z.T[None]


def _ranks(z):
    return F.normalize(torch.arange(1, len(z) + 1, dtype=z.dtype), p=1, dim=0) @ z


def _query(z, q):
    return F.scaled_dot_product_attention(q[None, None], z[None], z[None])[0, 0]


def _zhou(z, w):
    """H is [D n] in the paper."""
    H = z.T
    return torch.tanh(H @ torch.softmax(w @ torch.tanh(H), dim=-1))


def _final(z):
    return torch.cat([z[-1, : D // 2], z[0, D // 2 :]])


def _additive(z, kernel, bias, vector, normalize=torch.softmax):
    u = torch.tanh(F.linear(z, kernel.T, bias))
    return normalize(u @ vector, dim=0) @ z


def _bahdanau(z, kernel, bias, vector, context):
    return _additive(z, kernel, bias + _final(z) @ context, vector)


def _built(spec, *names, pick=lambda pooled: pooled.x):
    """The record of ours, with parameters given by name."""
    record = attention.build("pooling", spec)
    call = lambda where: attention.Call(q_valid=where)
    return lambda x, where, *params: pick(record.apply(dict(zip(names, params)), x, call(where)))


def _structured(z, kernel, rows):
    """The names are the paper's."""
    H, W1, W2 = z, kernel.T, rows.T
    A = torch.softmax(W2 @ torch.tanh(W1 @ H.T), dim=-1)
    return A, (A @ H).reshape(-1)


def _penalty(z, kernel, rows):
    A, _ = _structured(z, kernel, rows)
    return torch.linalg.matrix_norm(A @ A.T - torch.eye(R, dtype=A.dtype), "fro") ** 2


_AFFINE = {"query": (D, D), "key": (D, D), "value": (D, D), "output": (D, D), "in": (D, M), "out": (M, D)}
MAP = {
    "probe": (D,),
    "norm.scale": (D,),
    "norm.bias": (D,),
    **{f"{name}.kernel": shape for name, shape in _AFFINE.items()},
    **{f"{name}.bias": shape[1:] for name, shape in _AFFINE.items()},
}


def _map(theirs):
    """Ours has the heads on an axis of their own."""

    def ours(x, where, *leaves):
        params = {}
        for (name, _), leaf in zip(MAP.items(), leaves):
            layer, _, kind = name.partition(".")
            if layer in ("query", "key", "value"):
                leaf = leaf.reshape(*leaf.shape[:-1], N, D // N)
            elif name == "output.kernel":
                leaf = leaf.reshape(N, D // N, D)
            params = {**params, layer: {**params.get(layer, {}), kind: leaf} if kind else leaf}
        return attention.map_pool(x, params, where)[0]

    named = lambda z, *leaves: theirs(z, dict(zip(MAP, leaves)))
    return of(ours, named, *(_normal(i + 10, *shape, scale=0.6) for i, shape in enumerate(MAP.values())))


def _stacked(p):
    """The projections of queries, keys and values as torch has them, one below another, outputs first."""
    names = ("query", "key", "value")
    return torch.cat([p[f"{name}.kernel"].T for name in names]), torch.cat([p[f"{name}.bias"] for name in names])


def _siglip(z, p):
    """A published head that is this pooling; its own attention is torch's module."""
    config = SiglipVisionConfig(hidden_size=D, intermediate_size=M, num_attention_heads=N, layer_norm_eps=1e-6)
    weight, bias = _stacked(p)
    given = {
        "probe": p["probe"][None, None],
        "attention.in_proj_weight": weight,
        "attention.in_proj_bias": bias,
        "attention.out_proj.weight": p["output.kernel"].T,
        "attention.out_proj.bias": p["output.bias"],
        "layernorm.weight": p["norm.scale"],
        "layernorm.bias": p["norm.bias"],
        "mlp.fc1.weight": p["in.kernel"].T,
        "mlp.fc1.bias": p["in.bias"],
        "mlp.fc2.weight": p["out.kernel"].T,
        "mlp.fc2.bias": p["out.bias"],
    }
    module = SiglipMultiheadAttentionPoolingHead(config).double()
    assert set(given) == set(module.state_dict())
    return torch.func.functional_call(module, given, (z[None],))[0]


def _torch_map(z, p):
    """torch.nn.MultiheadAttention's function, and the formula after it."""
    weight, bias = _stacked(p)
    found, _ = F.multi_head_attention_forward(
        p["probe"][None, None], z[:, None], z[:, None], D, N, weight, bias, None, None, False, 0.0,
        p["output.kernel"].T, p["output.bias"],
    )  # fmt: skip
    x = found[0, 0]
    y = F.layer_norm(x, (D,), p["norm.scale"], p["norm.bias"], eps=1e-6)
    return x + F.linear(
        F.gelu(F.linear(y, p["in.kernel"].T, p["in.bias"]), approximate="tanh"), p["out.kernel"].T, p["out.bias"]
    )


def _radenovic(z, p):
    return torch.mean(torch.clamp(z, min=1e-6) ** p, dim=0) ** (1 / p)


QUERY, KERNEL, BIAS, VECTOR = _normal(1, D), _normal(2, D, A), _normal(3, A), _normal(4, A)
CONTEXT, ROWS, NUMBER = _normal(5, D, A), _normal(6, A, R), np.asarray(0.3)
POOLINGS = {
    "mean": {
        "torch.mean": of(lambda x, w: attention.mean_pool(x, w), lambda z: z.mean(0)),
        "torch adaptive_avg_pool1d": of(
            lambda x, w: attention.mean_pool(x, w), lambda z: F.adaptive_avg_pool1d(_channels(z), 1)[0, :, 0]
        ),
    },
    "sum": {"torch.sum": of(lambda x, w: attention.sum_pool(x, w), lambda z: z.sum(0))},
    "mean_sqrt": {"torch: Σ x / √n": of(lambda x, w: attention.mean_sqrt_pool(x, w), lambda z: z.sum(0) / math.sqrt(len(z)))},
    "max": {
        "torch.amax": of(lambda x, w: attention.max_pool(x, w), lambda z: z.amax(0)),
        "torch adaptive_max_pool1d": of(
            lambda x, w: attention.max_pool(x, w), lambda z: F.adaptive_max_pool1d(_channels(z), 1)[0, :, 0]
        ),
    },
    "cls": {"torch: x[:, 0]": Witness(attention.cls_pool, lambda x: x[:, 0], (_states()[0],))},
    "first": {"torch: the first valid": of(lambda x, w: attention.first_pool(x, w), lambda z: z[0])},
    "last": {"torch: the last valid": of(lambda x, w: attention.last_pool(x, w), lambda z: z[-1])},
    "weighted_mean": {"torch: ranks over their sum": of(lambda x, w: attention.weighted_mean_pool(x, w), _ranks)},
    "query": {
        "torch SDPA": of(lambda x, w, q: attention.query_pool(x, q, w)[0], _query, QUERY),
        "torch: Zhou et al., tanh in and out": of(
            _built("query(activation=tanh, output=tanh, scaled=False)", "query"), _zhou, QUERY
        ),
    },
    "additive": {
        "torch: Yang et al.": of(
            lambda x, w, *p: attention.additive_pool(x, *p, w)[0], _additive, KERNEL, BIAS, VECTOR
        ),
        "torch: Bahdanau et al., of both ends": of(
            _built(f"additive(hidden={A}, context=final)", "kernel", "bias", "vector", "context"),
            _bahdanau, KERNEL, BIAS, VECTOR, CONTEXT,
        ),
        "entmax.sparsemax": of(
            _built(f"additive(hidden={A}, normalizer=sparsemax)", "kernel", "bias", "vector"),
            lambda z, *p: _additive(z, *p, normalize=lambda s, dim: entmax.sparsemax(s, dim=-1)), KERNEL, BIAS, VECTOR,
        ),
    },
    "feed_forward": {
        "torch: Raffel and Ellis": of(
            lambda x, w, *p: attention.feed_forward_pool(x, *p, w)[0],
            lambda z, w, b: torch.softmax(torch.tanh(z @ w + b), 0) @ z, QUERY, NUMBER,
        ),
        "torch: exp(σ(wx + vh + b)) / Σ": of(
            _built("feed_forward(activation=sigmoid, context=last)", "kernel", "bias", "context"),
            lambda z, w, b, v: F.normalize(torch.exp(torch.sigmoid(z @ w + z[-1] @ v + b)), p=1, dim=0) @ z,
            QUERY, NUMBER, _normal(7, D),
        ),
    },
    "structured": {
        "torch: Lin et al., M": of(
            lambda x, w, *p: attention.structured_pool(x, *p, w)[0], lambda *a: _structured(*a)[1], KERNEL, ROWS
        ),
        "torch: Lin et al., P": of(
            _built(f"structured(hidden={A}, rows={R})", "kernel", "rows", pick=lambda pooled: pooled.loss),
            _penalty, KERNEL, ROWS,
        ),
    },
    "map": {"transformers SigLIP head": _map(_siglip), "torch multi_head_attention_forward": _map(_torch_map)},
    "logsumexp": {
        f"torch.logsumexp, t = {t}": of(
            lambda x, w, t=t: attention.logsumexp_pool(x, w, t=t),
            lambda z, t=t: (torch.logsumexp(t * z, 0) - math.log(len(z))) / t,
        )
        for t in (0.1, 1.0, 10.0)
    },
    "gem": {
        "torch: Radenović et al., by x and p": of(lambda x, w, p: attention.gem_pool(x, w, p=p), _radenovic, np.asarray(2.7)),
        "torch lp_pool1d of |x|": of(
            lambda x, w: attention.gem_pool(jnp.abs(x), w, p=3.0),
            lambda z: F.lp_pool1d(_channels(z).abs(), 3.0, len(z))[0, :, 0] / len(z) ** (1 / 3),
        ),
    },
}  # fmt: skip
