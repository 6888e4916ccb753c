"""What encoders and decoders share: parameters of the parts, embeddings, keys, dropout, and names of what is recorded."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
from flax import linen as nn

from attention.dropout import dropout
from attention.records import Call, Context, Dims, Parts

KINDS = ("encoding", "score", "normalizer")  # of the parts, those that may have parameters
Recorder = Callable[[str, Any], None]


def part_params(
    module: nn.Module,
    parts: Parts,
    dims: Dims,
    layers: Sequence[int | None],
    *,
    kinds: Sequence[str] = KINDS,
    prefix: str = "",
) -> dict[str, Any]:
    """The parameters of the parts in a module, for each kind a tuple with one tree per layer; None is what the layers share.

    With ``layers=(None, 0)`` that of "score" is (shared, own) of the first layer, by the names "score" and "score_0".
    """

    def made(kind: str, layer: int | None) -> Any:
        name = f"{prefix}{kind}" if layer is None else f"{prefix}{kind}_{layer}"
        return module.param(name, getattr(parts, kind).init, dims._replace(layer=layer))

    return {kind: tuple(made(kind, layer) for layer in layers) for kind in kinds}


def embedded(module: nn.Module, x: jax.Array, context: Context, call: Call, dims: Dims) -> jax.Array:
    """The embeddings ``[B T D]`` with what the encoding does to them, for encoders whose encoding acts on nothing else."""
    encoding = context.parts.encoding
    params = (*part_params(module, context.parts, dims, (None,), kinds=("encoding",))["encoding"], {})
    return encoding.embed(params, x, context.tokens, encoding.positions(params, call))


def split(rng: jax.Array | None, count: int) -> list[Any]:
    """``count`` keys, or None for each where there is no key."""
    return [None] * count if rng is None else list(jax.random.split(rng, count))


def dropped(x: jax.Array, context: Context, rng: Any) -> jax.Array:
    """``x`` with the dropout of the context."""
    return x if context.dropout is None else dropout(x, context.dropout, rng)


def prefixed(record: Recorder | None, prefix: str) -> Recorder | None:
    """``record`` under names that begin with ``prefix/``."""
    return None if record is None else lambda name, value: record(f"{prefix}/{name}", value)
