"""What witnesses of several encodings share: other packages, sizes and numbers, and ours in their terms. Import it late."""

import warnings
from typing import Any

import jax.numpy as jnp
import numpy as np

import attention
from attention.records import Call
from tests.support.oracle_packages import F as F
from tests.support.oracle_packages import torch
from tests.support.witness import FLOAT32, Witness

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import equinox
    from rotary_embedding_torch import RotaryEmbedding as RotaryEmbedding
    from transformers import PreTrainedConfig
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS
    from transformers.models.deberta_v2.modeling_deberta_v2 import DebertaV2Config as DebertaV2Config
    from transformers.models.deberta_v2.modeling_deberta_v2 import DisentangledSelfAttention as DisentangledSelfAttention
    from transformers.models.swin.modeling_swin import SwinRelativePositionBias as SwinRelativePositionBias
    from transformers.models.t5.modeling_t5 import T5Attention as T5Attention
    from transformers.models.xlnet.modeling_xlnet import XLNetRelativeAttention as XLNetRelativeAttention
    from x_transformers import x_transformers
    from x_transformers.x_transformers import AlibiPositionalBias
    from x_transformers.x_transformers import CoPE as CoPE
    from x_transformers.x_transformers import DataDependentAlibi as DataDependentAlibi
    from x_transformers.x_transformers import DynamicPositionBias as DynamicPositionBias


class _Sizes:
    """Sizes of a family, and its random numbers."""

    def __init__(self, seed: int, **sizes: int):
        self.seed = seed
        self.B, self.T, self.N = 2, 9, 4
        self.__dict__.update(sizes)

    def normal(self, seed: int, *shape: int, scale: float = 1.0) -> np.ndarray:
        return np.random.default_rng([self.seed, seed]).normal(0.0, scale, shape)

    def positive(self, seed: int, *shape: int) -> np.ndarray:
        return np.random.default_rng([self.seed, seed]).uniform(0.1, 1.9, shape)

    def positions(self, high: int = 1000) -> np.ndarray:
        return np.sort(np.random.default_rng(self.seed + 1).integers(0, high, (self.B, self.T)))


# Codes for embeddings.

A: Any = _Sizes(17, H=4, V=7, D=6)


def fixed(ours, theirs):
    """A code without parameters, which ours computes in float32 from angles in fixed point."""
    return Witness(lambda p: ours(p).astype(jnp.float64), theirs, (A.positions(),), FLOAT32, gradient=False)


def biased_attention(spec, name, own, bias, counted=False):
    """Attention with a bias made of torch's distances, ``bias(query [B N T H], distance [B T T], *own)``."""

    def ours(query, key, value, p, *own):
        params = {"encoding": {name: own[0]}} if own else None
        call = Call() if counted else Call(p, p)
        return attention.attend(query, key, value, encoding=spec, params=params, call=call)

    def theirs(query, key, value, p, *own):
        q, k, v = (x.transpose(1, 2) for x in (query, key, value))
        wide = p.double()[..., None]
        distance = torch.cdist(wide, wide, p=1).round().long()
        return F.scaled_dot_product_attention(q, k, v, attn_mask=bias(q, distance, *own)).transpose(1, 2)

    where = np.tile(np.arange(A.T), (A.B, 1)) if counted else A.positions(30)
    return Witness(ours, theirs, (*(A.normal(i, A.B, A.T, A.N, A.H) for i in range(3)), where, *own))


def slopes_times(query, distance, slopes):
    return -slopes[:, None, None] * distance[:, None]


# Biases.

B: Any = _Sizes(23, W=5)
POSITIONS, COUNTED = B.positions(60), np.tile(np.arange(B.T), (B.B, 1))
MLP = ("in/kernel", "in/bias", "out/kernel", "out/bias")
WEIGHTS = (B.normal(1, 1, B.W), B.normal(2, B.W), B.normal(3, B.W, B.N), B.normal(4, B.N))


def bias_of(spec, theirs, names, *own, positions=POSITIONS, **fields):
    """The bias of a record with the parameters ``names``, a path each; ``theirs(distance [B T T], *own)`` is ``[B T T N]``."""
    record = attention.build("encoding", spec)

    def ours(p, *own):
        params, call, x = tree(names, own), Call(p, p), jnp.zeros((B.B, B.T, B.N, 8))
        prepared = ((), (), ()) if record.prepare is None else record.prepare(params, None, x, x, call)
        return record.bias(params, *prepared, call)

    of_distance = lambda p, *own: theirs(p[:, :, None] - p[:, None, :], *own).moveaxis(-1, -3)
    return Witness(ours, of_distance, (positions, *own), **fields)


def tree(names, leaves):
    """Nested dicts of leaves by their paths."""
    found = {}
    for name, leaf in zip(names, leaves, strict=True):
        *folders, last = name.split("/")
        here = found
        for folder in folders:
            here = here.setdefault(folder, {})
        here[last] = leaf
    return found


def x_alibi():
    """ALiBi of x-transformers at POSITIONS."""
    return AlibiPositionalBias(B.N).double().forward_custom_pos(torch.as_tensor(POSITIONS))


def network(x, first, first_bias, out, out_bias, activation):
    return F.linear(activation(F.linear(x, first.T, first_bias)), out.T, out_bias)


# What compares queries or keys with positions.

C: Any = _Sizes(29, H=6, L=12, D=24)
QKV = tuple(C.normal(seed, C.B, C.T, C.N, C.H) for seed in range(3))
X = C.normal(3, C.B, C.T, C.D)
LATER = torch.ones(C.T, C.T, dtype=torch.bool).triu(1)


def attends(spec, names, mask="full"):
    """Attention of ours by query, key, value and the parameters ``names``."""

    def ours(query, key, value, *given):
        params = {"encoding": dict(zip(names, given, strict=True))}
        return attention.attend(query, key, value, encoding=spec, mask=mask, params=params)

    return ours


def from_terms(terms, causal=False, scale=C.H**-0.5):
    """Attention in torch with ``terms(q, k, *own) [B N T T]`` added to the products before scaling."""

    def theirs(query, key, value, *own):
        scores = (torch.einsum("binh,bjnh->bnij", query, key) + terms(query, key, *own)) * scale
        scores = scores.masked_fill(LATER, -torch.inf) if causal else scores
        return torch.einsum("bnij,bjnh->binh", torch.softmax(scores, -1), value)

    return theirs


def distances(first, last):
    """Sinusoids of the distances ``first``, first - 1, ... above ``last``, all sines and then all cosines."""

    def of(size):
        frequencies = 10000.0 ** (-torch.arange(0, size, 2, dtype=torch.float64) / size)
        angles = torch.arange(first, last, -1, dtype=torch.float64)[:, None] * frequencies
        return torch.cat([angles.sin(), angles.cos()], -1)

    return of


# Rotations.

R: Any = _Sizes(31, N=3, H=16, L=64)


def in_float32(function):
    """Ours: angles are float32 whatever the type of queries and keys."""
    return lambda *arrays: function(*arrays).astype(jnp.float64)


def _heads_first(x):
    return x.transpose(1, 2)


def rotation(theirs, **options):
    """``theirs`` turns ``[B N T H]`` at positions 0, 1, ..."""
    ours = in_float32(lambda x: attention.rope(x, jnp.arange(R.T), **options))
    return Witness(ours, lambda x: _heads_first(theirs(_heads_first(x))), (R.normal(0, R.B, R.T, R.N, R.H),), FLOAT32)


def turned_by_equinox():
    module = equinox.nn.RotaryPositionalEmbedding(R.H)
    one = lambda x: jnp.stack([module(x[:, n].astype(jnp.float32)) for n in range(R.N)], 1)
    theirs = lambda x: jnp.stack([one(x[b]) for b in range(R.B)]).astype(jnp.float64)
    ours = in_float32(lambda x: attention.rope(x, jnp.arange(R.T), layout="half"))
    return Witness(ours, theirs, (R.normal(0, R.B, R.T, R.N, R.H),), FLOAT32, framework="jax")


def rope_frequencies(kind, length=None, **given):
    """``ROPE_INIT_FUNCTIONS`` of transformers, float32, and its factor on cosines and sines."""
    ours, theirs = given.pop("ours"), {"rope_theta": 10000.0, "rope_type": kind, **given}

    def of_theirs(scale):
        config = PreTrainedConfig(hidden_size=R.H, num_attention_heads=1, max_position_embeddings=R.L, rope_parameters=theirs)
        config.head_dim = R.H
        found, gain = ROPE_INIT_FUNCTIONS[kind](config, "cpu", seq_len=length)
        return scale * torch.cat([found.double(), torch.tensor([gain]).double()])

    def of_ours(scale):
        found, gain = ours if isinstance(ours, tuple) else attention.rope_frequencies(R.H, **ours)
        return scale * jnp.asarray([*found, gain])

    return Witness(of_ours, of_theirs, (np.ones(1),), FLOAT32)


def rotated_scores(spec, theirs, *own, causal=False):
    """Scores of all pairs, times √H, of ``theirs(query [B N T H], key, *own)``; where causal, those of earlier keys alone."""
    record = attention.build("encoding", spec)

    def ours(query, key, *own):
        query, key = record.rotate({"phase": own[0]} if own else {}, query, key, Call())
        found = jnp.einsum("btnh,bsnh->bnts", query, key)
        return (jnp.tril(found) if causal else found).astype(jnp.float64)

    def theirs_too(query, key, *own):
        found = theirs(_heads_first(query), _heads_first(key), *own)
        return found.tril() if causal else found

    inputs = (R.normal(0, R.B, R.T, R.N, R.H), R.normal(1, R.B, R.T, R.N, R.H), *own)
    return Witness(ours, theirs_too, inputs, 4 * FLOAT32)


def x_rope(query, key, **options):
    """Scores of x-transformers' rotation."""
    module = x_transformers.RotaryEmbedding(R.H, **options)
    angles, _ = module.forward_from_seq_len(R.T)
    turn = x_transformers.apply_rotary_pos_emb
    return turn(query, angles) @ turn(key, angles).transpose(-1, -2)
