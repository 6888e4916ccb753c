"""What the evidence of several encoders shares: references in NumPy float64, a compiled pass of each, and witnesses.

A reference knows nothing of the library. It takes the tokens [n D] of one text without padding, the sentence of each, and the
parameters, and returns the states as rows: one for each token, or for each sentence.
"""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np

import attention
from attention.attend import parts_of
from attention.records import Call, Context, Dims
from tests.support.helpers import DIMS as TEST_DIMS
from tests.support.helpers import jit, normal, spread_out
from tests.support.witness import Witness

D, U = 6, 3
DIMS = TEST_DIMS._replace(model_dim=D, num_heads=2, kv_heads=2, head_dim=3, max_length=20)
ATTENTION = 4 * (D * D + D)  # parameters of multi-head attention
KEY_BIAS = ("['key']['bias']",)  # adds one number to a whole row of scores, which softmax does not see

# References.


def sigmoid(x):
    """1 / (1 + e^-x)."""
    return 1 / (1 + np.exp(-x))


def lstm(rows, params):
    """States of one direction, gate by gate."""
    U = params["recurrent"].shape[0]
    W, R, b = (np.split(params[name], 4, axis=-1) for name in ("kernel", "recurrent", "bias"))
    h, c, found = np.zeros(U), np.zeros(U), []
    for x in rows:
        i, f, g, o = (x @ W[k] + h @ R[k] + b[k] for k in range(4))
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        found.append(h)
    return found


def gru(rows, params):
    """States of one direction."""
    U = params["recurrent"].shape[0]
    W, R, b = (np.split(params[name], 3, axis=-1) for name in ("kernel", "recurrent", "bias"))
    h, found = np.zeros(U), []
    for x in rows:
        r, z = (sigmoid(x @ W[k] + b[k] + h @ R[k]) for k in range(2))
        h = (1 - z) * np.tanh(x @ W[2] + b[2] + r * (h @ R[2])) + z * h
        found.append(h)
    return found


def both(cell, rows, params, combine=lambda f, b: np.concatenate([f, b])):
    """Two directions."""
    forward, backward = cell(rows, params["forward"]), cell(rows[::-1], params["backward"])[::-1]
    return [combine(f, b) for f, b in zip(forward, backward)]


def recurrent(cell, layers=1, **rest):
    """Layers of two directions."""

    def apply(rows, sentences, params):
        for layer in range(layers):
            rows = both(cell, rows, params[f"layer_{layer}"], **rest)
        return rows

    return apply


def attend(rows, params):
    """Multi-head attention, head by head."""
    heads, width = params["query"]["bias"].shape
    found = [params["output"]["bias"].copy() for _ in rows]
    for n in range(heads):
        q, k, v = ([x @ params[m]["kernel"][:, n] + params[m]["bias"][n] for x in rows] for m in ("query", "key", "value"))
        for t, query in enumerate(q):
            shares = np.array([math.exp(query @ key / math.sqrt(width)) for key in k])
            found[t] += sum(a * value for a, value in zip(shares / shares.sum(), v)) @ params["output"]["kernel"][n]
    return found


# Encoders.

LENGTHS = (9, 1, 4)
SEGMENTS = np.array([0, 0, 0, 1, 2, 2, 3, 3, 3], np.int32)


def with_mixer(spec, mixer="attention(heads=2)"):
    """The encoder, with a mixer where it uses one."""
    encoder = attention.build("encoder", spec)
    if "mixer" in encoder.uses:
        encoder = dataclasses.replace(encoder, mixer=attention.build("mixer", mixer))
    return encoder


@functools.cache
def built(spec):
    """The encoder, parameters off their start, and the compiled pass: (params, x, valid, segments) -> states and validity."""
    encoder = with_mixer(spec)

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


# Witnesses.

TEXTS, N = (9, 1, 4, 7), 2  # the lengths of the texts, and heads


def draw(seed, *shape, scale=1.0):
    """Normal float64 array."""
    return np.random.default_rng([41, seed]).normal(0.0, scale, shape)


def witness(spec, theirs):
    """``theirs(texts, params)`` returns the states of each text, beyond which there are zeros."""
    encoder = with_mixer(spec, f"attention(heads={N})")
    valid = np.arange(max(TEXTS)) < np.array(TEXTS)[:, None]
    segments = np.where(valid, SEGMENTS, 5).astype(np.int32)
    dims = Dims(num_heads=N, kv_heads=N, head_dim=D // N, model_dim=D)

    def states(params, x, init=False):
        context = Context(parts_of("none"), {}, tokens=jnp.zeros(x.shape[:-1], jnp.int32))
        call = Call(q_valid=jnp.asarray(valid), k_valid=jnp.asarray(valid), q_segments=jnp.asarray(segments))
        if init:
            return encoder.init(jax.random.key(0), x, context, call, dims)["params"]
        found, call = encoder.apply({"params": params}, x, context, call, dims)
        return jnp.where(call.q_valid[..., None], found, 0)

    x = draw(0, *valid.shape, D)
    shapes = jax.eval_shape(lambda x: states({}, x, init=True), jnp.asarray(x, jnp.float32))
    leaves, tree = jax.tree.flatten(shapes)
    weights = [draw(i + 1, *leaf.shape, scale=0.5) for i, leaf in enumerate(leaves)]

    def ours(x, *leaves):
        return states(jax.tree.unflatten(tree, leaves), x)

    def of_texts(x, *leaves):
        import torch

        found = theirs([rows[:n] for rows, n in zip(x, TEXTS)], jax.tree.unflatten(tree, leaves))
        return torch.stack([torch.nn.functional.pad(rows, (0, 0, 0, x.shape[1] - len(rows))) for rows in found])

    return Witness(ours, of_texts, (x, *weights))


def packed(kind, layers=1):
    """``torch.nn.LSTM`` or ``GRU`` over a packed batch, with our weights in place of its own."""
    import torch

    def apply(texts, params):
        flat = []
        for layer in range(layers):
            for direction in ("forward", "backward"):
                own = params[f"layer_{layer}"][direction]
                flat += [own["kernel"].T, own["recurrent"].T, own["bias"], torch.zeros_like(own["bias"])]
        U = params["layer_0"]["forward"]["recurrent"].shape[0]
        module = kind(texts[0].shape[-1], U, layers, batch_first=True, bidirectional=True).double()
        module._flat_weights = flat
        sequence = torch.nn.utils.rnn.pack_sequence(texts, enforce_sorted=False)
        found, lengths = torch.nn.utils.rnn.pad_packed_sequence(module(sequence)[0], batch_first=True)
        return [rows[:n] for rows, n in zip(found, lengths)]

    return apply
