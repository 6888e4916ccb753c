"""Every mixer at growing lengths: time and temporary memory of its forward and backward pass, and how they grow.

python -m benchmarks.mixers [--lengths=512,1024,2048,4096,8192,16384] [--only=SPEC ...] [--repetitions=5] [--keep_freed_memory]
                            [--json=PATH]

One text, D = 64 and 4 heads. The exponents are slopes of a line through the logarithms, over the lengths from 2048 on where
there are three of them, else over all. Lengths at which a mixer's tables would have more than 2^26 numbers are left out.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import attention
from attention.attend import parts_of
from benchmarks import _runner

DIM, HEADS, LARGEST = 64, 4, 2**26
MORE = ("linear/causal", "attention/local(window=128)", "synthesizer(form='random')", "aft(form='simple')")
COLUMNS = {
    **_runner.TIMES,
    "ratio": lambda row: f"{row.ratio:.2f}",
    "temporary MiB": lambda row: f"{row.facts['temporary_mib']:.1f}",
}


def specs() -> list[str]:
    """What is measured: every mixer with its defaults, and a few options; a mask follows the slash."""
    return [*attention.names("mixer"), *MORE]


def step(spec: str, length: int) -> tuple[Any, ...] | None:
    """The gradient of a loss as a function of parameters and states, and both; None where the tables are too large."""
    name, _, mask = spec.partition("/")
    mixer, parts = attention.build("mixer", name), parts_of(mask=mask or "full")
    head_dim = mixer.head_dim or DIM // mixer.num_heads
    dims = attention.Dims(mixer.num_heads, mixer.kv_heads, head_dim, DIM, layer=0, max_length=length)
    init = mixer.init or (lambda rng, dims: {})
    shapes = jax.eval_shape(lambda rng: init(rng, dims), jax.random.key(0))
    if sum(leaf.size for leaf in jax.tree.leaves(shapes)) > LARGEST:
        return None
    params = init(jax.random.key(0), dims)
    call = attention.Call(max_length=length)

    def loss(params: Any, x: jax.Array) -> jax.Array:
        return jnp.sum(jnp.square(mixer.apply(params, x, attention.Context(parts, {}), call)))

    return jax.grad(loss, (0, 1)), params, jax.random.normal(jax.random.key(1), (1, length, DIM))


def exponent(sizes: Mapping[int, float]) -> float:
    """The slope of log size over log length."""
    late = {length: size for length, size in sizes.items() if length >= 2048}
    used = late if len(late) >= 3 else dict(sizes)
    known = {length: size for length, size in used.items() if size > 0}
    return float(np.polyfit(np.log(list(known)), np.log(list(known.values())), 1)[0]) if len(known) > 1 else float("nan")


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints a table per mixer, and one of the exponents."""
    parser = _runner.parser(__doc__)
    parser.set_defaults(repetitions=5)
    parser.add_argument("--lengths", default="512,1024,2048,4096,8192,16384", help="T, with commas between them")
    parser.add_argument("--only", action="append", help="spec to measure; may be repeated")
    options = parser.parse_args(arguments)
    report, lengths, lines = _runner.Report(options), [int(length) for length in options.lengths.split(",")], []
    for spec in options.only or specs():
        cases = [_runner.compiled(f"T = {n}", *made) for n in lengths if (made := step(spec, n)) is not None]
        rows = report.run(f"{spec}, forward and backward", cases, COLUMNS, spec=spec)
        at = [int(row.name.removeprefix("T = ")) for row in rows]
        time = exponent(dict(zip(at, (row.median for row in rows))))
        memory = exponent(dict(zip(at, (row.facts["temporary_mib"] for row in rows))))
        lines.append(f"{spec:32} {time:6.2f} {memory:8.2f}")
    print("\n".join(["", f"{'exponents of':32} {'time':>6} {'memory':>8}", *lines]))


if __name__ == "__main__":
    main()
