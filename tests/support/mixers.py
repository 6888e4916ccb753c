"""Small mixers as functions of their parameters and states, shared by the tests of mixers."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

import attention
from attention.attend import parts_of
from attention.records import Call, Context, Dims
from tests.support.helpers import init, jit, normal, spread_out
from tests.support.mixer_rows import ROWS, D, L

KINDS = ("encoding", "score", "normalizer")
LENGTHS, T = (6, 3, 1), 6
VALID = jnp.arange(T) < jnp.array(LENGTHS)[:, None]


def built(spec):
    """The record and the sizes."""
    mixer = attention.build("mixer", spec)
    head_dim = mixer.head_dim or D // mixer.num_heads
    return mixer, Dims(mixer.num_heads, mixer.kv_heads, head_dim, D, layer=0, max_length=L)


@functools.cache
def made(spec):
    """The record, the sizes and parameters moved off their start."""
    mixer, dims = built(spec)
    own = {} if mixer.init is None else mixer.init(jax.random.key(0), dims)
    return mixer, dims, spread_out(own, spread=0.4)


@functools.cache
def layer(spec, mask="full", encoding="none"):
    """The mixer as a function of its parameters, states [B T D], which of them are text, and more of the call."""
    mixer, dims = built(spec)
    parts = parts_of(encoding, mask=mask)
    params = {kind: init(getattr(parts, kind), dims, seed=1, spread=0.0) for kind in KINDS}

    def run(own, x, valid, memory=None, k_valid=None, kernel="auto", **rest):
        call = Call(q_valid=valid, k_valid=valid if memory is None else k_valid, max_length=L, **rest)
        return mixer.apply(own, x, Context(parts, params, encoding_call=call, memory=memory, kernel=kernel), call)

    return run


@functools.cache
def of(name, mask="full"):
    """The forward pass of a row, and its parameters."""
    row = ROWS[name]
    return jit(layer(row.spec, mask, row.encoding)), made(row.spec)[2]


@functools.cache
def pulled(name, mask="full"):
    """(states, which are text, weights of the outputs) -> outputs, gradients by the parameters, and by the states."""
    row = ROWS[name]
    run = layer(row.spec, mask, row.encoding)

    def both(own, x, valid, weights):
        output, pull = jax.vjp(lambda own, x: run(own, x, valid), own, x)
        return output, *pull(weights)

    return functools.partial(jit(both), made(row.spec)[2])


def states(seed=0, length=T, batch=3):
    return normal(seed, batch, length, D)


def outputs(spec, own, x, valid=None, mask="full", encoding="none", **rest):
    valid = np.ones(x.shape[:-1], bool) if valid is None else valid
    return jit(layer(spec, mask, encoding))(own, x, valid, **rest)
