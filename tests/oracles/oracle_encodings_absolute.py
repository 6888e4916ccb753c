"""Absolute encodings and the forms of tutorials: torch's own layers, attention and complex numbers on the same numbers."""

import math

import jax.numpy as jnp
import numpy as np

import attention
from attention.records import Call
from tests.support.oracle_packages import F, torch
from tests.support.witness import FLOAT32, Witness

B, T, N, H, V, D = 2, 9, 4, 4, 7, 6


def _normal(seed, *shape, scale=1.0):
    return np.random.default_rng([17, seed]).normal(0.0, scale, shape)


def _positions(high=1000):
    return np.sort(np.random.default_rng(18).integers(0, high, (B, T)))


def fixed(ours, theirs):
    """A code without parameters, which ours computes in float32 from angles in fixed point."""
    return Witness(lambda p: ours(p).astype(jnp.float64), theirs, (_positions(),), FLOAT32, gradient=False)


def _biased(spec, name, own, bias, **call):
    """Attention with a bias made of torch's distances, ``bias(query [B N T H], distance [B T T], *own)``."""

    def ours(query, key, value, p, *own):
        params = {"encoding": ({}, dict(zip((name,), own)))} if own else None
        given = Call() if call.get("counted") else Call(p, p)
        return attention.attend(query, key, value, encoding=spec, params=params, call=given)

    def theirs(query, key, value, p, *own):
        q, k, v = (x.transpose(1, 2) for x in (query, key, value))
        wide = p.double()[..., None]
        distance = torch.cdist(wide, wide, p=1).round().long()
        return F.scaled_dot_product_attention(q, k, v, attn_mask=bias(q, distance, *own)).transpose(1, 2)

    where = np.tile(np.arange(T), (B, 1)) if call.get("counted") else _positions(30)
    return Witness(ours, theirs, (*(_normal(i, B, T, N, H) for i in range(3)), where, *own))


def _slopes(query, distance, slopes):
    return -slopes[:, None, None] * distance[:, None]


def _clipped(query, distance, table):
    rows = F.embedding(distance.clamp(max=3), table)
    return torch.einsum("bnth,btsh->bnts", query, rows) / math.sqrt(H)


def _axial(columns, rows, p):
    return torch.cat([F.embedding(p % 4, columns), F.embedding(torch.div(p, 4, rounding_mode="floor"), rows)], -1)


def _fourier(p, w, hidden, hidden_bias, out, out_bias):
    wave = torch.exp(1j * p[..., None] * w)
    features = torch.cat([wave.real, wave.imag], -1) / math.sqrt(2 * len(w))
    return F.linear(F.gelu(F.linear(features, hidden.T, hidden_bias)), out.T, out_bias)


def _wave(x, p, table, tokens):
    turned = torch.polar(torch.ones(()).double(), p[..., None] * F.embedding(tokens, table)) * x
    return turned.real + turned.imag


def _convolved(causal):
    def theirs(x, kernel, bias, valid):
        x = x.masked_fill(~valid[..., None], 0.0).transpose(1, 2)
        x = F.pad(x, (4, 0) if causal else (2, 2))
        return F.conv1d(x, kernel.T[:, None], bias, groups=D).transpose(1, 2)

    valid = np.arange(T) < np.array([[T], [5]])
    inputs = (_normal(0, B, T, D), _normal(1, 5, D), _normal(2, D), valid)
    return Witness(lambda x, k, b, v: attention.depthwise_convolution(x, k, b, valid=v, causal=causal), theirs, inputs)


ENCODINGS = {
    "index": {
        "torch.stack": fixed(
            lambda p: attention.index_positions(p, D), lambda p: torch.stack([p, 0 * p], -1).double().repeat(1, 1, D // 2)
        )
    },
    "linear": {
        "torch.outer": Witness(
            lambda p, w: attention.linear_positions(p, w),
            lambda p, w: torch.outer(p.flatten().double(), w).reshape(B, T, D),
            (_positions(), _normal(0, D)),
        )
    },
    "rel_matrix": {
        "torch.cdist, SDPA (bias)": _biased("rel_matrix", "slopes", (_normal(4, N),), _slopes),
        "torch.cdist, SDPA (raw)": _biased(
            "rel_matrix(form=raw)", "", (), lambda q, d: _slopes(q, d, torch.ones(N, dtype=q.dtype))
        ),
        **{
            f"torch.cdist, F.embedding, SDPA (embedding, {'counted' if counted else 'explicit'})": _biased(
                "rel_matrix(form=embedding, max_distance=3)", "table", (_normal(5, 4, H),), _clipped, counted=counted
            )
            for counted in (False, True)
        },
    },
    "sin_half_period": {
        "torch.sin": fixed(
            lambda p: attention.sin_half_period(p, 3, max_length=50, multi_frequency=True),
            lambda p: torch.sin(p.double()[..., None] * torch.arange(1, 4) * torch.pi / 100),
        )
    },
    "sin_period_d": {
        "torch.polar": fixed(
            lambda p: attention.sin_period_d(p, D)[..., :2],
            lambda p: torch.view_as_real(torch.polar(torch.ones(()).double(), (p % D).double() * 4 * torch.pi / D)).flip(-1),
        )
    },
    "sin_cos_sum": {
        "torch.sin, torch.cos": fixed(
            attention.sin_cos_sum, lambda p: torch.sin(p.double() / 10000**0.5) + torch.cos(p.double() / 10000**0.75)
        )
    },
    "learned_fourier": {
        "torch.exp(i w p), F.linear, F.gelu": Witness(
            attention.learned_fourier,
            _fourier,
            (_positions(50), *(_normal(i, *shape) for i, shape in enumerate([(4,), (8, 5), (5,), (5, D), (D,)]))),
        )
    },
    "complex_order": {
        "torch.polar": Witness(
            lambda x, p, table, tokens: attention.complex_order(x, p, table[tokens]),
            _wave,
            (_normal(0, B, T, D), _positions(50), _normal(1, V, D), np.random.default_rng(19).integers(0, V, (B, T))),
        )
    },
    "axial": {
        "torch F.embedding": Witness(
            lambda u, w, p: attention.axial_positions(u, w, p), _axial, (_normal(0, 4, 3), _normal(1, 5, 2), _positions(20))
        )
    },
    "cpe": {f"torch F.conv1d{', causal' * causal}": _convolved(causal) for causal in (False, True)},
}
