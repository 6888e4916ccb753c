"""Encoders as a user writes them, in Linen and in NNX, on packed rows of documents."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn
from flax import nnx
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

import attention.linen
import attention.nnx

FRAMEWORKS = ("linen", "nnx")
V, D, N, LAYERS, T = 12, 32, 8, 2, 16
PARTS = {"encoding": "shaw(max_distance=4) + alibi", "normalizer": "entmax15"}


class Encoder(nn.Module):
    """Linen: embeddings, pre-norm blocks of attention and an MLP, logits of each token."""

    mask: str

    @nn.compact
    def __call__(self, tokens, valid, segments, positions):
        x = nn.Embed(V, D)(tokens)
        for _ in range(LAYERS):
            attend = attention.linen.MultiHeadAttention(N, **PARTS, mask=self.mask)
            x = x + attend(nn.LayerNorm()(x), valid=valid, segments=segments, positions=positions)
            x = x + nn.Dense(D)(nn.gelu(nn.Dense(2 * D)(nn.LayerNorm()(x))))
        return nn.Dense(V)(nn.LayerNorm()(x))


class Block(nnx.Module):
    """NNX: attention and an MLP."""

    def __init__(self, mask, rngs):
        self.norms = nnx.List([nnx.LayerNorm(D, rngs=rngs) for _ in range(2)])
        self.attend = attention.nnx.MultiHeadAttention(N, D, decode=False, **PARTS, mask=mask, rngs=rngs)
        self.wide, self.narrow = nnx.Linear(D, 2 * D, rngs=rngs), nnx.Linear(2 * D, D, rngs=rngs)

    def __call__(self, x, **sides):
        x = x + self.attend(self.norms[0](x), **sides)
        return x + self.narrow(nnx.gelu(self.wide(self.norms[1](x))))


class EncoderNNX(nnx.Module):
    """NNX: embeddings, blocks, logits of each token."""

    def __init__(self, mask, rngs):
        self.embed = nnx.Embed(V, D, rngs=rngs)
        self.blocks = nnx.List([Block(mask, rngs) for _ in range(LAYERS)])
        self.head = nnx.Linear(D, V, rngs=rngs)

    def __call__(self, tokens, valid, segments, positions):
        x = self.embed(tokens)
        for block in self.blocks:
            x = block(x, valid=valid, segments=segments, positions=positions)
        return self.head(x)


def batch(seed, size=16):
    """Two documents a row and padding; the target of a token is the token before it in its document, 0 at the first."""
    rng = np.random.default_rng(seed)
    tokens = rng.integers(1, V, (size, T))
    ends = np.stack([rng.integers(3, 7, size), rng.integers(9, T, size)], 1)
    place = np.arange(T)
    segments = (place >= ends[:, :1]).astype(np.int32)
    positions = np.where(segments == 1, place - ends[:, :1], place).astype(np.int32)
    targets = np.where(positions > 0, np.roll(tokens, 1, axis=1), 0)
    return tuple(map(jnp.asarray, (tokens, place < ends[:, 1:], segments, positions, targets)))


def made(framework, mask):
    """Parameters, and ``apply(params, tokens, valid, segments, positions)``."""
    if framework == "linen":
        params = Encoder(mask).init(jax.random.key(0), *batch(0)[:-1])["params"]
        return params, lambda params, *given: Encoder(mask).apply({"params": params}, *given)
    graph, params = nnx.split(EncoderNNX(mask, nnx.Rngs(0)))
    return params, lambda params, *given: nnx.merge(graph, params)(*given)


def loss_of(apply, params, tokens, valid, segments, positions, targets):
    logits = apply(params, tokens, valid, segments, positions)
    each = optax.softmax_cross_entropy_with_integer_labels(logits, targets)
    return jnp.sum(each * valid) / jnp.sum(valid)


def trained(framework, mask, updates):
    """The losses."""
    params, apply = made(framework, mask)
    optimizer = optax.adam(3e-3)

    @functools.partial(jax.jit, donate_argnums=(0, 1))
    def step(params, state, given):
        loss, gradient = jax.value_and_grad(functools.partial(loss_of, apply))(params, *given)
        moves, state = optimizer.update(gradient, state)
        return optax.apply_updates(params, moves), state, loss

    state, losses = optimizer.init(params), []
    for number in range(updates):
        params, state, loss = step(params, state, batch(number))
        losses.append(float(loss))
    return losses


def collectives(framework, split):
    """What devices tell each other in the program of value and gradient on 8 devices, with examples or heads split."""
    params, apply = made(framework, "document")
    mesh = jax.make_mesh((8,), ("all",))
    place = lambda *axes: NamedSharding(mesh, P(*axes))

    def of_leaf(path, leaf):
        name = jax.tree_util.keystr(path)
        of_heads = split == "heads" and any(f"{each}'" in name for each in ("query", "key", "value", "out"))
        axes = [("all" if size == N and of_heads else None) for size in leaf.shape]
        return place(*axes)

    inputs = tuple(place("all") if split == "batch" else place() for _ in range(5))
    run = jax.value_and_grad(functools.partial(loss_of, apply))
    shardings = jax.tree_util.tree_map_with_path(of_leaf, params)
    program = jax.jit(run, in_shardings=(shardings, *inputs)).lower(params, *batch(0)).compile().as_text()
    return sorted(set(re.findall(r"all-reduce|all-gather|all-to-all|collective-permute|reduce-scatter", program)))
