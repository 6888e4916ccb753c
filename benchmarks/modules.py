"""The modules for other frameworks beside those frameworks' own layers, at equal work: time and temporary memory.

python -m benchmarks.modules [--repetitions=20] [--keep_freed_memory] [--json=PATH]

Each pair is compiled and run in turn, forward, and forward with backward; the target is a ratio of at most 1.05.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax import nnx

import attention.linen
import attention.nnx
from benchmarks import _runner
from benchmarks._modules_equinox import equinox

COLUMNS = {**_runner.TIMES, **_runner.TARGETS, "temporary MiB": lambda row: f"{row.facts['temporary_mib']:.1f}"}
TARGET = 1.05
D, N = 256, 8
SHAPES = ((16, 128), (4, 512))
Pair = tuple[str, Callable[..., Any], Callable[..., Any], tuple[Any, ...]]


def linen(x: jax.Array, mask: jax.Array) -> Iterator[Pair]:
    """With a mask, and with dropout."""
    dropout: dict[str, Any] = {"dropout_rate": 0.1, "deterministic": False}
    for name, options, rngs in (("mask", {}, {}), ("dropout", dropout, {"dropout": KEY})):
        theirs, ours = nn.MultiHeadDotProductAttention(N, **options), attention.linen.MultiHeadAttention(N, **options)
        variables = theirs.init({"params": KEY, **rngs}, x)
        run = lambda layer, rngs=rngs: lambda params, x, mask: layer.apply(params, x, mask=mask, rngs=rngs)
        yield f"Linen, {name}", run(theirs), run(ours), (variables, x, mask)


def of_nnx(x: jax.Array, mask: jax.Array) -> Iterator[Pair]:
    """With a mask, with fewer key heads, and with dropout."""
    cases: dict[str, dict[str, Any]] = {"mask": {}, "2 key heads": {"num_kv_heads": 2}}
    run = lambda layer, x, mask: layer(x, mask=mask, rngs=nnx.Rngs(dropout=KEY))
    for name, options in {**cases, "dropout": {"dropout_rate": 0.1, "deterministic": False}}.items():
        pair = []
        for build in (nnx.MultiHeadAttention, attention.nnx.MultiHeadAttention):
            graph, params, rest = nnx.split(build(N, D, decode=False, rngs=nnx.Rngs(0), **options), nnx.Param, ...)
            pair.append(lambda params, x, mask, graph=graph, rest=rest: run(nnx.merge(graph, params, rest), x, mask))
        yield f"NNX, {name}", *pair, (params, x, mask)


KEY = jax.random.key(0)
FRAMEWORKS = (linen, of_nnx, equinox)


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints a table for each size, forward and with backward."""
    report = _runner.Report(_runner.parser(__doc__).parse_args(arguments))
    for B, T in SHAPES:
        x = jax.random.normal(KEY, (B, T, D))
        mask = jnp.broadcast_to(jnp.tril(jnp.ones((T, T), jnp.bool_)), (B, 1, T, T))
        pairs = [pair for framework in FRAMEWORKS for pair in framework(x, mask)]
        for direction, of in (("forward", lambda run: run), ("forward and backward", _gradient)):
            cases = []
            for name, theirs, ours, arrays in pairs:
                cases.append(_runner.compiled(f"{name}: theirs", of(theirs), *arrays, peer=f"{name}: theirs"))
                cases.append(_runner.compiled(f"{name}: ours", of(ours), *arrays, peer=f"{name}: theirs", target=TARGET))
            report.run(f"B{B} T{T} D{D} N{N} float32, {direction}", cases, COLUMNS)


def _gradient(run: Callable[..., jax.Array]) -> Callable[..., Any]:
    return jax.value_and_grad(lambda params, x, mask: jnp.sum(run(params, x, mask) ** 2), argnums=(0, 1))


if __name__ == "__main__":
    main()
