"""Forward and backward pass of the kernels beside ``jax.nn.dot_product_attention``: time and temporary memory.

python -m benchmarks.kernels [--length=2048] [--repetitions=20] [--keep_freed_memory] [--json=PATH]

On Linux much of the time of whatever needs much memory goes into having its pages mapped anew in each call;
``--keep_freed_memory`` measures without that, as train.py runs.
"""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp

import attention
from benchmarks import _runner

CASES = {
    "jax.nn": lambda q, k, v: jax.nn.dot_product_attention(q, k, v),
    "dense": functools.partial(attention.attend, kernel="dense"),
    "chunked": functools.partial(attention.attend, kernel="chunked"),
    "chunked alibi": functools.partial(attention.attend, kernel="chunked", encoding="alibi"),
    "chunked sparsemax": functools.partial(attention.attend, kernel="chunked", normalizer="sparsemax"),
    "chunked sigmoid": functools.partial(attention.attend, kernel="chunked", normalizer="sigmoid"),
    "chunked local(window=256)": functools.partial(attention.attend, kernel="chunked", mask="local(window=256)"),
}
COLUMNS = {
    **_runner.TIMES,
    "speed": lambda row: f"{1 / row.ratio:.2f}x",
    "temporary MiB": lambda row: f"{row.facts['temporary_mib']:.0f}",
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints a table."""
    parser = _runner.parser(__doc__)
    parser.add_argument("--length", type=int, default=2048, help="T and S")
    options = parser.parse_args(arguments)
    report = _runner.Report(options)
    shape = (4, options.length, 4, 64)
    query, key, value = (jax.random.normal(rng, shape) for rng in jax.random.split(jax.random.key(0), 3))
    cases = []
    for name, function in CASES.items():
        loss = lambda q, k, v, function=function: jnp.sum(function(q, k, v) ** 2)
        cases.append(_runner.compiled(name, jax.grad(loss, argnums=(0, 1, 2)), query, key, value))
    report.run(f"B4 N4 T{options.length} H64 float32, forward and backward", cases, COLUMNS)


if __name__ == "__main__":
    main()
