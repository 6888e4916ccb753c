"""Rotary encodings: other packages' rotations, scores and frequencies on the same numbers."""

import warnings

import jax.numpy as jnp
import numpy as np

import attention
from attention.records import Call
from tests.support.oracle_packages import torch
from tests.support.witness import FLOAT32, Witness

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import equinox
    from rotary_embedding_torch import RotaryEmbedding
    from transformers import PreTrainedConfig
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS
    from x_transformers import x_transformers

B, T, N, H, L = 2, 9, 3, 16, 64


def _normal(seed, *shape):
    return np.random.default_rng([31, seed]).normal(size=shape)


def _queries_and_keys():
    return _normal(0, B, T, N, H), _normal(1, B, T, N, H)


def _float64(function):
    """Ours: angles are float32 whatever the type of queries and keys."""
    return lambda *arrays: function(*arrays).astype(jnp.float64)


def _heads_first(x):
    return x.transpose(1, 2)


def rotation(theirs, **options):
    """``theirs`` turns ``[B N T H]`` at positions 0, 1, ..."""
    ours = _float64(lambda x: attention.rope(x, jnp.arange(T), **options))
    return Witness(ours, lambda x: _heads_first(theirs(_heads_first(x))), (_normal(0, B, T, N, H),), FLOAT32)


def _equinox():
    module = equinox.nn.RotaryPositionalEmbedding(H)
    one = lambda x: jnp.stack([module(x[:, n].astype(jnp.float32)) for n in range(N)], 1)
    theirs = lambda x: jnp.stack([one(x[b]) for b in range(B)]).astype(jnp.float64)
    ours = _float64(lambda x: attention.rope(x, jnp.arange(T), layout="half"))
    return Witness(ours, theirs, (_normal(0, B, T, N, H),), FLOAT32, framework="jax")


def frequencies(kind, length=None, scale=1.0, **given):
    """``ROPE_INIT_FUNCTIONS`` of transformers, float32, and its factor on cosines and sines."""
    ours, theirs = given.pop("ours"), {"rope_theta": 10000.0, "rope_type": kind, **given}

    def of_theirs(scale):
        config = PreTrainedConfig(hidden_size=H, num_attention_heads=1, max_position_embeddings=L, rope_parameters=theirs)
        config.head_dim = H
        found, gain = ROPE_INIT_FUNCTIONS[kind](config, "cpu", seq_len=length)
        return scale * torch.cat([found.double(), torch.tensor([gain]).double()])

    def of_ours(scale):
        found, gain = ours if isinstance(ours, tuple) else attention.rope_frequencies(H, **ours)
        return scale * jnp.asarray([*found, gain])

    return Witness(of_ours, of_theirs, (np.ones(1),), FLOAT32)


def _p_rope(share):
    """The angles that p-RoPE turns by at position 1."""
    x = jnp.tile(jnp.array([1.0, 0.0]), H // 2)[None, None]
    turned = np.asarray(attention.p_rope(x, jnp.array([1]), share=share))[0, 0]
    return np.arctan2(turned[1::2], turned[0::2]), 1.0


def scores(spec, theirs, *own, gradient=True, causal=False):
    """Scores of all pairs, times √H, of ``theirs(query [B N T H], key, *own)``; where causal, those of earlier keys alone."""
    record = attention.build("encoding", spec)

    def ours(query, key, *own):
        params = ({}, {"phase": own[0]} if own else {})
        query, key = record.rotate(params, query, key, Call())
        found = jnp.einsum("btnh,bsnh->bnts", query, key)
        return (jnp.tril(found) if causal else found).astype(jnp.float64)

    def theirs_too(query, key, *own):
        found = theirs(_heads_first(query), _heads_first(key), *own)
        return found.tril() if causal else found

    return Witness(ours, theirs_too, (*_queries_and_keys(), *own), 4 * FLOAT32, gradient)


def _x_xpos(query, key):
    module = x_transformers.RotaryEmbedding(H, use_xpos=True, scale_base=20)
    angles, scale = module.forward_from_seq_len(T)
    turn = x_transformers.apply_rotary_pos_emb
    return turn(query, angles, scale) @ turn(key, angles, scale**-1).transpose(-1, -2)


def _torch_xpos(query, key):
    module = RotaryEmbedding(H, use_xpos=True, xpos_scale_base=20, cache_if_possible=False)
    query, key = module.rotate_queries_and_keys(query, key)
    return query @ key.transpose(-1, -2)


def _x_rope(query, key, **options):
    module = x_transformers.RotaryEmbedding(H, **options)
    angles, _ = module.forward_from_seq_len(T)
    turn = x_transformers.apply_rotary_pos_emb
    return turn(query, angles) @ turn(key, angles).transpose(-1, -2)


def _polar(query, key, phase):
    """Their phase is kept within [-2π, 0]."""
    module = x_transformers.PolarEmbedding(H, N)
    angles, _ = module(torch.arange(T))
    turn = x_transformers.apply_polar_pos_emb
    return turn(query, angles[:, None]) @ turn(key, angles[:, None] + phase[:, None]).transpose(-1, -2).double()


def _fourier():
    """The code of the authors without its padding, which is to be 0 for sines; complex numbers are torch's."""
    F, G = 5, 4

    def theirs(x, cos, sin):
        theta = 10000.0 ** (-torch.arange(0, H, 2).double() / H)
        wave = torch.polar(torch.ones(()).double(), torch.outer(torch.arange(T).double(), theta[:F]))
        mixed = torch.complex(torch.einsum("tf,nfg->tng", wave.real, cos), torch.einsum("tf,nfg->tng", wave.imag, sin))
        mixed = torch.cat([mixed, torch.ones(T, N, H // 2 - G, dtype=mixed.dtype)], -1)
        turned = torch.complex(x[..., : H // 2], x[..., H // 2 :]) * mixed
        return torch.cat([turned.real, turned.imag], -1)

    ours = _float64(lambda x, cos, sin: attention.fope(x, jnp.arange(T), cos, sin))
    return Witness(ours, theirs, (_normal(0, B, T, N, H), _normal(1, N, F, G), _normal(2, N, F, G)), FLOAT32)


LONG = tuple(float(x) for x in np.random.default_rng(5).uniform(1.0, 20.0, H // 2))
ENCODINGS = {
    "rope": {
        "rotary-embedding-torch": rotation(RotaryEmbedding(H, cache_if_possible=False).rotate_queries_or_keys),
        "rotary-embedding-torch (fraction)": rotation(
            RotaryEmbedding(H // 2, cache_if_possible=False).rotate_queries_or_keys, fraction=0.5
        ),
        "equinox (half)": _equinox(),
        "x-transformers": scores("rope", _x_rope),
        "x-transformers (pi)": scores("rope(scaling=pi, factor=3)", lambda q, k: _x_rope(q, k, interpolation_factor=3.0)),
        "x-transformers (ntk)": scores("rope(scaling=ntk, factor=3)", lambda q, k: _x_rope(q, k, base_rescale_factor=3.0)),
        "transformers linear": frequencies("linear", factor=3.0, ours={"scaling": "pi", "factor": 3.0}),
        **{
            f"transformers dynamic, length {length}": frequencies(
                "dynamic",
                length,
                factor=3.0,
                ours={"scaling": "dynamic_ntk", "factor": 3.0, "train_length": L, "length": length},
            )
            for length in (10, 64, 500)
        },
        **{
            f"transformers yarn, {'truncated' if truncate else 'not truncated'}": frequencies(
                "yarn",
                factor=8.0,
                original_max_position_embeddings=2048,
                truncate=truncate,
                ours={"scaling": "yarn", "factor": 8.0, "train_length": 2048, "truncate": truncate},
            )
            for truncate in (True, False)
        },
        "transformers llama3": frequencies(
            "llama3",
            factor=8.0,
            low_freq_factor=1.0,
            high_freq_factor=4.0,
            original_max_position_embeddings=8192,
            ours={"scaling": "llama3", "factor": 8.0, "train_length": 8192},
        ),
        "transformers longrope": frequencies(
            "longrope",
            8192,
            factor=8.0,
            long_factor=list(LONG),
            short_factor=[1.0] * (H // 2),
            original_max_position_embeddings=2048,
            ours={"scaling": "longrope", "factor": 8.0, "train_length": 2048, "factors": LONG},
        ),
    },
    "p_rope": {
        f"transformers proportional, {share}": frequencies("proportional", partial_rotary_factor=share, ours=_p_rope(share))
        for share in (0.25, 0.75, 1.0)
    },
    "xpos": {
        "x-transformers": scores("xpos(scale_base=20)", _x_xpos, causal=True),
        "rotary-embedding-torch": scores("xpos(scale_base=20)", _torch_xpos, causal=True),
    },
    "fope": {"torch.polar": _fourier()},
    "pope": {"x-transformers PolarEmbedding": scores("pope", _polar, -(_normal(3, N, H) ** 2))},
}
