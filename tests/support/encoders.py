"""The table of the encoders: one row per variant and option with a formula of its own, and a compiled pass of each."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import attention
import tests.support.reference_encoders as r
from attention.attend import parts_of
from attention.records import Call, Context
from tests.support.helpers import DIMS, jit, normal, spread_out

D, U = 6, 3
DIMS = DIMS._replace(model_dim=D, num_heads=2, kv_heads=2, head_dim=3, max_length=20)
ADD = lambda f, b: f + b


class Row(NamedTuple):
    """What a test knows of a variant.

    Attributes:
      spec: its spec.
      reference: (tokens [n D], sentences [n], parameters) -> states, for one text without padding.
      count: parameters.
      width: channels of a state.
      dead: leaves without a gradient, by a symmetry of the method.
    """

    spec: str
    reference: Callable[..., Any]
    count: int = 0
    width: int = D
    dead: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The variant."""
        return self.spec.split("(")[0]


KEY_BIAS = ("['key']['bias']",)  # adds one number to a whole row of scores, which softmax does not see
ATTENTION = 4 * (D * D + D)
BLOCK = ATTENTION + (2 * D * 2 * D + 3 * D) + 4 * D  # mlp=2 and two norms
ROWS = [
    Row("embeddings", r.embeddings),
    Row("bare", r.bare, ATTENTION, dead=KEY_BIAS),
    Row("transformer(layers=2, mlp=2)", r.transformer(2), 2 * BLOCK + 2 * D, dead=KEY_BIAS),
    Row("transformer(layers=1, mlp=2, norm=post)", r.transformer(1, "post"), BLOCK, dead=KEY_BIAS),
    Row("transformer(layers=1, mlp=2, norm=sandwich)", r.transformer(1, "sandwich"), BLOCK + 4 * D + 2 * D, dead=KEY_BIAS),
    Row("transformer(layers=1, mlp=2, norm_type=rms)", r.transformer(1, "pre", "rms"), BLOCK - 2 * D + D, dead=KEY_BIAS),
    Row("transformer(layers=1, mlp=2, registers=2)", r.transformer(1, registers=2), BLOCK + 4 * D, dead=KEY_BIAS),
    Row("bilstm", r.recurrent(r.lstm), 2 * 4 * U * (D + U + 1)),
    Row("bilstm(layers=2, hidden=4)", r.recurrent(r.lstm, 2), 2 * 16 * (D + 4 + 1) + 2 * 16 * (8 + 4 + 1), 8),
    Row("bilstm(combine=sum)", r.recurrent(r.lstm, combine=ADD), 2 * 4 * D * (D + D + 1)),
    Row("bigru", r.recurrent(r.gru), 2 * 3 * U * (D + U + 1)),
    Row("bigru(layers=2, hidden=4, combine=sum)", r.recurrent(r.gru, 2, combine=ADD), 2 * 12 * (D + 5) + 2 * 12 * (4 + 5), 4),
    Row("cnn(filters=4)", r.cnn((3, 4, 5)), 4 * (12 * D + 3), 12),
    Row("cnn(widths=(1, 2), filters=5)", r.cnn((1, 2)), 5 * (3 * D + 2), 10),
    Row("hierarchical", r.hierarchical, 2 * 3 * U * (D + U + 1) + 2 * 3 * U * (3 * U + 1) + 2 * U * 2 * U + 2 * 2 * U),
    Row("hierarchical(hidden=4, attention=5)", r.hierarchical, 24 * (D + 5) + 24 * 13 + 8 * 5 + 10, 8),
]
over_rows = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.spec)
LENGTHS = (9, 1, 4)
SEGMENTS = np.array([0, 0, 0, 1, 2, 2, 3, 3, 3], np.int32)


@functools.cache
def built(spec):
    """The encoder, parameters off their start, and the compiled pass: (params, x, valid, segments) -> states and validity."""
    encoder = attention.build("encoder", spec)
    if "mixer" in encoder.uses:
        encoder = dataclasses.replace(encoder, mixer=attention.build("mixer", "attention(heads=2)"))

    def apply(params, x, valid, segments=None, rng=None, dropout=None):
        context = Context(parts_of("none"), {}, tokens=jnp.zeros(x.shape[:-1], jnp.int32), dropout=dropout)
        segments = segments if encoder.needs_segments else None
        call = Call(q_valid=valid, k_valid=valid, q_segments=segments, k_segments=segments, rng=rng, train=rng is not None)
        args = (x, context, call, DIMS)
        if params is None:
            return encoder.init(jax.random.key(0), *args)
        states, call = encoder.apply({"params": params}, *args)
        return states, call.q_valid

    start = jax.jit(functools.partial(apply, None))(*batch()).get("params", {})
    return encoder, spread_out(start), jit(apply)


def batch(lengths=LENGTHS, pad=0, left=0, seed=0):
    """Texts [B T D], which tokens are valid, and the sentences of all, with noise in what is padding."""
    length = left + max(lengths) + pad
    x, valid = np.asarray(normal([seed, 1], len(lengths), length, D)) * 3, np.zeros((len(lengths), length), bool)
    segments = np.full(valid.shape, 7, np.int32)
    for b, n in enumerate(lengths):
        x[b, left : left + n] = normal([seed, 2, b], 9, D)[:n]
        valid[b, left : left + n] = True
        segments[b, left : left + n] = SEGMENTS[:n]
    return jnp.asarray(x, jnp.float32), jnp.asarray(valid), jnp.asarray(segments)


def texts(states, valid):
    """The states that count, text by text."""
    return [np.asarray(s)[np.asarray(v)] for s, v in zip(states, valid)]
