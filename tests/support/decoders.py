"""What the evidence of decoders shares: small models with each of them, and witnesses on the same texts."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

import attention
from attention import decoding
from attention.attend import parts_of
from attention.decoders._decoder import Source
from attention.models.seq2seq import seq2seq, write
from attention.records import Call, Context, Dims
from tests.support.helpers import jit
from tests.support.witness import Witness

V, D, S, U = 11, 8, 6, 8
LENGTHS = (6, 3, 1)


def model_of(**specs):
    """A model of 11 tokens and 8 channels that writes up to 8 tokens; specs as in ``seq2seq``."""
    return seq2seq(**{"dim": D, "vocab_size": V, "max_length": U, **specs})


def _made(specs):
    model = model_of(**specs)
    shapes = jax.eval_shape(lambda rng: model.init(rng, **model.example()), jax.random.key(0))["params"]
    rng = np.random.default_rng(1)
    params = jax.tree.map(lambda leaf: jnp.asarray(rng.normal(0, 0.4, leaf.shape), leaf.dtype), shapes)
    key = jax.random.key(3)

    @jit
    def run(params, tokens, valid, targets):
        logits, extra = model.apply({"params": params}, tokens, valid, targets=targets, rng=key, capture=True)
        rngs = jax.random.split(key)
        apply = lambda method, *args, **rest: model.apply({"params": params}, *args, **rest, method=method)
        remembered = apply("begin", apply("encode", tokens, valid, rng=rngs[0]), U)
        before = decoding.shifted(targets)

        def step(remembered, place):
            known = jnp.where(jnp.arange(U) <= place, before, 7)  # what stands behind has no meaning
            logits, remembered = apply("advance", known, place, remembered, rngs[1])
            return remembered, logits

        _, each = jax.lax.scan(step, remembered, jnp.arange(U))
        greedy = write(model, params, tokens, valid, length=U, rng=key)
        return logits, each.swapaxes(0, 1), extra, greedy, write(model, params, tokens, valid, length=U, width=3, rng=key)

    return model, params, run


@functools.cache
def made(specs):
    """Of ``tuple(specs.items())``: the model, parameters drawn with NumPy, and in one program: logits, the same place by
    place, what was captured, and what is written."""
    return _made(dict(specs))


def given(lengths=LENGTHS, seed=0):
    """Sources, which of their tokens are valid, and targets."""
    rng = np.random.default_rng(seed)
    tokens = rng.integers(1, V - 1, (len(lengths), S)).astype(np.int32)
    return tokens, np.arange(S) < np.array(lengths)[:, None], rng.integers(1, V, (len(lengths), U)).astype(np.int32)


def softmax(x):
    """Of one row."""
    return np.exp(x - x.max()) / np.exp(x - x.max()).sum()


# Witnesses.

SOURCES, WRITTEN, WIDTH, N = (5, 1, 3), 4, 6, 2  # lengths of the sources and of the texts, channels, heads
DIMS = Dims(num_heads=N, kv_heads=N, head_dim=WIDTH // N, model_dim=WIDTH, causal=True)


def draw(seed, *shape, scale=1.0):
    """Normal float64 array."""
    return np.random.default_rng([43, seed]).normal(0.0, scale, shape)


def witness(spec, theirs, score="scaled_dot"):
    """``theirs(y, source, params)`` are the states of one text, given the states of one source."""
    parts = parts_of("none", score, "softmax", "causal")
    decoder = attention.build("decoder", spec)
    decoder = dataclasses.replace(decoder, dims=DIMS, parts=parts, width=WIDTH)
    if "mixer" in decoder.uses:
        decoder = dataclasses.replace(decoder, mixer=attention.build("mixer", f"attention(heads={N})"))
    longest = max(SOURCES)
    valid = np.arange(longest) < np.array(SOURCES)[:, None]

    def states(params, y, source, init=False):
        tokens = jnp.zeros(y.shape[:-1], jnp.int32)
        given = (
            Source(source, jnp.asarray(valid)),
            Context(parts, {}, tokens=tokens),
            Call(q_valid=tokens == 0, k_valid=tokens == 0),
        )
        return decoder.init(jax.random.key(0), y, *given)["params"] if init else decoder.apply({"params": params}, y, *given)

    y, source = draw(0, len(SOURCES), WRITTEN, WIDTH), draw(1, len(SOURCES), longest, WIDTH)
    shapes = jax.eval_shape(lambda y, source: states({}, y, source, init=True), *map(jnp.float32, (y, source)))
    leaves, tree = jax.tree.flatten(shapes)
    weights = [draw(i + 2, *leaf.shape, scale=0.5) for i, leaf in enumerate(leaves)]

    def ours(y, source, *leaves):
        return states(jax.tree.unflatten(tree, leaves), y, source)

    def of_texts(y, source, *leaves):
        import torch

        params = jax.tree.unflatten(tree, leaves)
        return torch.stack([theirs(rows, states[:n], params) for rows, states, n in zip(y, source, SOURCES)])

    return Witness(ours, of_texts, (y, source, *weights))
