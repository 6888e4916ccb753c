"""What the evidence of several mixers shares: references in NumPy float64, small layers, and witnesses on the same texts.

A reference knows nothing of the library. It takes the parameters of a mixer and one text [n D] without padding (the memory
[s D], which is the text itself in self-attention), with loops over heads and queries, and returns [n D].
"""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np

import attention
from attention.attend import parts_of
from attention.records import Call, Context, Dims
from tests.support.helpers import init, jit, normal, spread_out
from tests.support.witness import Witness

D, N, H, L = 8, 2, 4, 24
MHA = 4 * (D * D + D)
BOTH = ("full", "causal")
PARTS = ("encoding", "score", "normalizer", "mask")
HEADS = {"heads": "4", "head_dim": "6", "bias": "False"}  # values of the options that most have


# References.


def heads_of(layer, x, heads=N):
    """x W + b into heads, [N n H]; without weights x itself, cut into heads."""
    if layer is None:
        return np.stack(np.split(x, heads, axis=-1))
    y = np.einsum("nd,dkh->knh", x, layer["kernel"])
    return y + layer["bias"][:, None] if "bias" in layer else y


def merge(layer, heads):
    """Heads [N n H] into states."""
    if layer is None:
        return np.concatenate(list(heads), -1)
    y = sum(head @ kernel for head, kernel in zip(heads, layer["kernel"]))
    return y + layer["bias"] if "bias" in layer else y


def of_heads(function):
    """A mixer that is ``function(q, k, v, causal, **options)`` on each head [n H]."""

    def apply(own, x, memory, causal=False, **options):
        q, k, v = heads_of(own["query"], x), heads_of(own["key"], memory), heads_of(own["value"], memory)
        groups = len(q) // len(k)
        heads = [function(q[h], k[h // groups], v[h // groups], causal, **options) for h in range(len(q))]
        return merge(own["output"], heads)

    return apply


def softmax(scores):
    """Over the last axis."""
    e = np.exp(scores - scores.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def seen(i, keys, causal):
    """The keys that the query i reads."""
    return range(min(i + 1, keys) if causal else keys)


def means(weight, q, k, v, causal, epsilon=0.0, least=0.0):
    """Σ_j w_ij v_j / max(Σ_j w_ij + ε, least)."""
    rows = []
    for i in range(len(q)):
        weights = np.array([weight(i, j) for j in seen(i, len(k), causal)])
        rows.append(weights @ v[: len(weights)] / max(weights.sum() + epsilon, least))
    return np.array(rows)


def turn(x, position):
    """RoPE, pairs beside each other, base 10000."""
    y = np.empty_like(x)
    for t in range(len(x) // 2):
        angle = position * 10000.0 ** (-2 * t / len(x))
        y[2 * t] = x[2 * t] * math.cos(angle) - x[2 * t + 1] * math.sin(angle)
        y[2 * t + 1] = x[2 * t] * math.sin(angle) + x[2 * t + 1] * math.cos(angle)
    return y


def weigh(scores, v, causal, allowed=None):
    """Softmax of scores [N n s] over the allowed pairs, and the sums of values [N s E]; the weights too."""
    N, n, s = scores.shape
    open_pairs = np.ones((n, s), bool) if allowed is None else allowed
    open_pairs = open_pairs & np.tril(np.ones((n, s), bool)) if causal else open_pairs
    weights = np.zeros_like(scores)
    for h, i in np.ndindex(N, n):
        row = open_pairs[i]
        weights[h, i, row] = softmax(scores[h, i, row])
    return weights @ v, weights


def scaled_products(q, k):
    """q·k / √H of heads, those of keys repeated."""
    k = np.repeat(k, len(q) // len(k), axis=0)
    return np.einsum("nth,nsh->nts", q, k) / math.sqrt(q.shape[-1])


def attend(own, x, memory, causal=False, allowed=None, names=("query", "key", "value")):
    """Attention, with heads that are mixed and learned keys where there are such."""
    q, k, v = (heads_of(own.get(name), y) for name, y in zip(names, (x, memory, memory)))
    mixing = own.get("talking")
    scores, v = scaled_products(q, k), np.repeat(v, len(q) // len(v), axis=0)
    if mixing is not None:
        scores = np.einsum("nm,mts->nts", mixing["scores"], scores)
    if "memory" in own:
        learned_k, learned_v = (np.swapaxes(own["memory"][name], 0, 1) for name in ("key", "value"))
        m, open_pairs = learned_k.shape[1], np.ones(scores.shape[1:], bool)
        open_pairs = np.tril(open_pairs) if causal else open_pairs
        allowed, causal = np.concatenate([np.ones((len(x), m), bool), open_pairs], 1), False
        scores = np.concatenate([scaled_products(q, learned_k), scores], -1)
        v = np.concatenate([np.repeat(learned_v, len(q) // len(learned_v), axis=0), v], 1)
    _, weights = weigh(scores, v, causal, allowed)
    if mixing is not None:
        weights = np.einsum("nm,mts->nts", mixing["weights"], weights)
    return merge(own.get("output"), weights @ v)


# Layers.

KINDS = ("encoding", "score", "normalizer")
LENGTHS, T = (6, 3, 1), 6
VALID = np.arange(T) < np.array(LENGTHS)[:, None]


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
        valid = jnp.asarray(valid)
        call = Call(q_valid=valid, k_valid=valid if memory is None else k_valid, max_length=L, **rest)
        return mixer.apply(own, x, Context(parts, params, encoding_call=call, memory=memory, kernel=kernel), call)

    return run


@functools.cache
def forward(spec, mask="full", encoding="none"):
    """The compiled layer, and its parameters."""
    return jit(layer(spec, mask, encoding)), made(spec)[2]


@functools.cache
def pulled(spec, mask="full", encoding="none"):
    """(states, which are text, weights of the outputs) -> outputs, gradients by the parameters, and by the states."""
    run = layer(spec, mask, encoding)

    def both(own, x, valid, weights):
        output, pull = jax.vjp(lambda own, x: run(own, x, valid), own, x)
        return output, *pull(weights)

    return functools.partial(jit(both), made(spec)[2])


def states(seed=0, length=T, batch=3):
    """Random states [batch length D]."""
    return normal(seed, batch, length, D)


def outputs(spec, own, x, valid=None, mask="full", encoding="none", **rest):
    """Of any parameters."""
    valid = np.ones(x.shape[:-1], bool) if valid is None else valid
    return jit(layer(spec, mask, encoding))(own, x, jnp.asarray(valid), **rest)


def assert_same(found, wanted, tolerance=1e-6):
    """At the valid positions of ``VALID``."""
    np.testing.assert_allclose(np.where(VALID[..., None], found - wanted, 0), 0, atol=tolerance)


# Witnesses.

LONG = np.arange(14) < np.array([[14], [9]])


def witness(spec, theirs, mask="full", encoding="none", valid=VALID, **fields):
    """The mixer is ``theirs(valid states, parameters)`` of each text; zeros at padding."""
    own = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), made(spec)[2])
    leaves, structure = jax.tree.flatten(own)

    def ours(x, *leaves):
        found = layer(spec, mask, encoding)(jax.tree.unflatten(structure, leaves), x, jnp.asarray(valid))
        return jnp.where(valid[..., None], found, 0.0)

    def of_texts(x, *leaves):
        import torch

        params, found = jax.tree.unflatten(structure, leaves), []
        for text, n in zip(x, valid.sum(-1)):
            found.append(torch.nn.functional.pad(theirs(text[:n], params), (0, 0, 0, int(x.shape[1] - n))))
        return torch.stack(found)

    return Witness(ours, of_texts, (np.random.default_rng(41).normal(size=(*valid.shape, D)), *leaves), **fields)


def torch_heads(x, layer):
    """``[1 N n H]``, as torch has heads."""
    import torch

    y = torch.einsum("nd,dkh->knh", x, layer["kernel"])
    return (y + layer["bias"][:, None] if "bias" in layer else y)[None]


def torch_qkv(x, p, names=("query", "key", "value")):
    """Queries, keys and values."""
    return (torch_heads(x, p[name]) for name in names)


def torch_out(y, p):
    """``[1 N n H]`` to ``[n D]``."""
    import torch

    merged = torch.einsum("knh,khd->nd", y[0], p["output"]["kernel"])
    return merged + p["output"]["bias"] if "bias" in p["output"] else merged


def flat(layer):
    """A kernel ``[D N H]`` as the weight of a torch layer."""
    return layer["kernel"].flatten(1).T
