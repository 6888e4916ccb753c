"""Biases that are added to the scores: other packages' where they have them, else torch on the formulas of the papers."""

import math
import warnings

import jax.numpy as jnp
import numpy as np

import attention
from attention.records import Call
from tests.support.oracle_packages import F, torch
from tests.support.witness import FLOAT32, Witness

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from transformers.models.swin.modeling_swin import SwinRelativePositionBias
    from transformers.models.t5.modeling_t5 import T5Attention
    from x_transformers.x_transformers import AlibiPositionalBias, DynamicPositionBias

B, T, N, W = 2, 9, 4, 5


def _normal(seed, *shape):
    return np.random.default_rng([23, seed]).normal(size=shape)


def _positive(seed, *shape):
    return np.random.default_rng([23, seed]).uniform(0.1, 1.9, shape)


POSITIONS = np.sort(np.random.default_rng(24).integers(0, 60, (B, T)))


def bias_of(spec, theirs, names, *own, shared=False, positions=POSITIONS, **fields):
    """The bias of a record with the parameters ``names``, a path each; ``theirs(distance [B T T], *own)`` is ``[B T T N]``."""
    record = attention.build("encoding", spec)

    def ours(p, *own):
        params = _tree(names, own)
        call = Call(p, p)
        x = jnp.zeros((B, T, N, 8))
        given = (params, {}) if shared else ({}, params)
        return record.bias(given, *record.prepare(given, None, x, x, call), call)

    return Witness(
        ours, lambda p, *own: theirs(p[:, :, None] - p[:, None, :], *own).moveaxis(-1, -3), (positions, *own), **fields
    )


def _tree(names, leaves):
    tree = {}
    for name, leaf in zip(names, leaves, strict=True):
        *folders, last = name.split("/")
        here = tree
        for folder in folders:
            here = here.setdefault(folder, {})
        here[last] = leaf
    return tree


def _alibi(distance):
    positions = torch.as_tensor(POSITIONS)
    return AlibiPositionalBias(N).double().forward_custom_pos(positions).moveaxis(-3, -1)


def _left_right(distance, left, right):
    apart = distance.double()[..., None]
    return -F.softplus(left) * F.relu(apart) - F.softplus(right) * F.relu(-apart)


def _t5(bidirectional):
    def bias(distance, table):
        rows = T5Attention._relative_position_bucket(-distance, bidirectional=bidirectional, num_buckets=8, max_distance=20)
        return F.embedding(rows, table)

    return bias


def _log(distance, r1, r2):
    return -F.softplus(r1) * torch.log(1 + F.softplus(r2) * distance.abs()[..., None])


def _power(distance, r1, r2):
    size = distance.abs().double()[..., None]
    return -F.softplus(r1) * torch.where(size > 0, torch.pow(size.clamp(min=1), 2 * torch.sigmoid(r2)), 0.0)


def _sandwich(distance):
    """Products of the codes of the positions."""
    p, t = torch.as_tensor(POSITIONS).double(), torch.arange(1, 5).double()
    code = torch.polar(torch.ones(()).double(), p[..., None] / 10000 ** (2 * t / 8))
    product = torch.einsum("bit,bjt->bij", code, code.conj()).real - 4
    return product[..., None] / (8 * torch.arange(1, N + 1).double() / N)


def _mlp(x, first, first_bias, out, out_bias, activation):
    return F.linear(activation(F.linear(x, first.T, first_bias)), out.T, out_bias)


def _fire(distance, c, factor, *network):
    i = torch.as_tensor(POSITIONS)[:, :, None]
    psi = lambda x: torch.log(torch.abs(c * x) + 1)
    share = psi(distance.clamp(min=0)) / (psi(torch.maximum(i.double(), torch.abs(factor * 9.0))) + 1e-6)
    return _mlp(share[..., None], *network, F.relu)


def _cpb(distance, first, first_bias, out):
    x = 8 * distance.double()[..., None] / 15
    x = torch.sign(x) * torch.log2(torch.abs(x) + 1) / math.log2(8)
    return 16 * torch.sigmoid(_mlp(x, first, first_bias, out, None, F.relu))


def _dynamic(distance, first, first_bias, out, out_bias):
    module = DynamicPositionBias(W, heads=N, depth=1, log_distance=True)
    names = ("mlp.0.0.weight", "mlp.0.0.bias", "mlp.1.weight", "mlp.1.bias")
    given = {name: x.float() for name, x in zip(names, (first.T, first_bias, out.T, out_bias))}
    bias = torch.func.functional_call(module, given, (T, T)).double()
    return bias.moveaxis(0, -1).expand(B, T, T, N)


def _swin(distance, table):
    """A window of one row of T patches."""
    module = SwinRelativePositionBias(N, (1, T))
    bias = torch.func.functional_call(module, {"relative_position_bias_table": table}, ())
    return bias.permute(0, 2, 3, 1).expand(B, T, T, N)


def _tisa(distance, a, s, o):
    normal = torch.exp(-torch.abs(s) * (distance[..., None, None] - o) ** 2)
    return torch.einsum("kn,...kn->...n", a, normal)


def _dape():
    """torch's own layers on the scores and biases side by side."""
    names = ("in/kernel", "in/bias", "out/kernel", "out/bias")
    record = attention.build("encoding", "dape(inner=alibi, width=5)")

    def ours(scores, p, *own):
        params, call, x = ({}, _tree(names, own)), Call(p, p), jnp.zeros((B, T, N, 8))
        return record.modify(params, scores, *record.prepare(params, None, x, x, call), call)

    def theirs(scores, p, first, first_bias, out, out_bias):
        layers = torch.nn.Sequential(torch.nn.Linear(2 * N, W), torch.nn.LeakyReLU(), torch.nn.Linear(W, N))
        given = {"0.weight": first.T, "0.bias": first_bias, "2.weight": out.T, "2.bias": out_bias}
        bias = _alibi(None).moveaxis(-1, -3)
        both = torch.cat([scores, bias], dim=1).permute(0, 2, 3, 1)
        return scores + bias + torch.func.functional_call(layers, given, (both,)).permute(0, 3, 1, 2)

    own = (_normal(1, 2 * N, W), _normal(2, W), _normal(3, W, N), _normal(4, N))
    return Witness(ours, theirs, (_normal(0, B, N, T, T), POSITIONS, *own), FLOAT32)


COUNTED = np.tile(np.arange(T), (B, 1))
MLP = ("in/kernel", "in/bias", "out/kernel", "out/bias")
WEIGHTS = (_normal(1, 1, W), _normal(2, W), _normal(3, W, N), _normal(4, N))

ENCODINGS = {
    "alibi": {
        "x-transformers AlibiPositionalBias": Witness(
            lambda p: attention.alibi_bias(p, p, jnp.asarray(attention.alibi_slopes(N), jnp.float64)),
            lambda p: _alibi(None).moveaxis(-1, -3),
            (POSITIONS,),
            gradient=False,
        ),
        "torch: softplus slopes, left and right": bias_of(
            "alibi(form=learned_lr)", _left_right, ("left", "right"), _normal(1, N), _normal(2, N)
        ),
    },
    "t5": {
        f"transformers T5Attention buckets, bidirectional={both}": bias_of(
            f"t5(buckets=8, max_distance=20, bidirectional={both})", _t5(both), ("table",), _normal(1, 8, N), shared=True
        )
        for both in (True, False)
    },
    "kerple": {
        f"torch, {form}": bias_of(f"kerple(form={form})", theirs, ("r1", "r2"), _normal(1, N), _normal(2, N))
        for form, theirs in (("log", _log), ("power", _power))
    },
    "sandwich": {
        "torch: product of codes": Witness(
            lambda p: jnp.moveaxis(
                attention.sandwich_bias(p[:, :, None] - p[:, None, :], N, dim=8).astype(jnp.float64), -1, -3
            ),
            lambda p: _sandwich(None).moveaxis(-1, -3),
            (POSITIONS,),
            FLOAT32,
            gradient=False,
        )
    },
    "fire": {
        "torch: causal": bias_of(
            "fire(width=5, threshold=9, bidirectional=False)",
            _fire,
            ("c", "factor", *(f"mlp/{name}" for name in MLP)),
            _positive(5),
            _positive(6),
            *WEIGHTS,
        )
    },
    "dape": {"torch.nn.Sequential": _dape()},
    "table": {
        "transformers SwinRelativePositionBias, one row": bias_of(
            f"table(window={T})", _swin, ("table",), _normal(1, 2 * T - 1, N), positions=COUNTED
        )
    },
    "cpb": {
        "torch: SwinV2 in one dimension": bias_of("cpb(hidden=5, window=16)", _cpb, MLP[:3], *WEIGHTS[:3], tolerance=FLOAT32),
        "x-transformers DynamicPositionBias": bias_of(
            "cpb(hidden=5, form=nlp)", _dynamic, MLP, *WEIGHTS, positions=COUNTED, tolerance=FLOAT32
        ),
    },
    "tisa": {
        "torch: sum of bumps": bias_of(
            "tisa(kernels=3)",
            _tisa,
            ("amplitude", "sharpness", "offset"),
            _normal(1, 3, N),
            0.1 * _normal(2, 3, N),
            5 * _normal(3, 3, N),
        )
    },
    "gaussian": {
        "torch: softplus": bias_of(
            "gaussian",
            lambda distance, w, b: -torch.abs(F.softplus(w) * distance[..., None] ** 2 - F.softplus(b)),
            ("w", "b"),
            _normal(1, N),
            _normal(2, N),
        )
    },
}
