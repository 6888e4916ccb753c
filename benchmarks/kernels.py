"""Forward and backward pass of the kernels beside ``jax.nn.dot_product_attention``: time and temporary memory.

python -m benchmarks.kernels [--length=2048] [--repetitions=20] [--keep_freed_memory]

The functions are timed in turn, so that a change of the machine's speed meets all of them; the median and the quartiles are
printed, and the ratio of the medians. On Linux much of the time of whatever needs much memory goes into having its pages
mapped anew in each call; ``--keep_freed_memory`` measures without that, as train.py runs.
"""

import argparse
import functools
import statistics
import time

import jax
import jax.numpy as jnp

import attention
from attention.training.instruments import keep_freed_memory

CASES = {
    "jax.nn": lambda q, k, v: jax.nn.dot_product_attention(q, k, v),
    "dense": functools.partial(attention.attend, kernel="dense"),
    "chunked": functools.partial(attention.attend, kernel="chunked"),
    "chunked alibi": functools.partial(attention.attend, kernel="chunked", encoding="alibi"),
    "chunked sparsemax": functools.partial(attention.attend, kernel="chunked", normalizer="sparsemax"),
    "chunked sigmoid": functools.partial(attention.attend, kernel="chunked", normalizer="sigmoid"),
    "chunked local(window=256)": functools.partial(attention.attend, kernel="chunked", mask="local(window=256)"),
}


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--length", type=int, default=2048, help="T and S")
    parser.add_argument("--repetitions", type=int, default=20)
    parser.add_argument("--keep_freed_memory", action="store_true", help="have the allocator keep what is freed")
    options = parser.parse_args()
    if options.keep_freed_memory:
        keep_freed_memory()
    shape = (4, options.length, 4, 64)
    query, key, value = (jax.random.normal(rng, shape) for rng in jax.random.split(jax.random.key(0), 3))

    compiled, seconds = {}, {name: [] for name in CASES}
    for name, function in CASES.items():
        loss = lambda q, k, v, function=function: jnp.sum(function(q, k, v) ** 2)
        compiled[name] = jax.jit(jax.grad(loss, argnums=(0, 1, 2))).lower(query, key, value).compile()
        jax.block_until_ready(compiled[name](query, key, value))
    for _ in range(options.repetitions):
        for name, run in compiled.items():
            start = time.perf_counter()
            jax.block_until_ready(run(query, key, value))
            seconds[name].append(time.perf_counter() - start)

    print(f"{jax.devices()[0].device_kind}, jax {jax.__version__}, B4 N4 T{options.length} H64 float32, forward and backward")
    print(f"{'':26} {'median ms':>10} {'quartiles':>15} {'speed':>7} {'temporary MiB':>14}")
    base = statistics.median(seconds["jax.nn"])
    for name, times in seconds.items():
        low, median, high = statistics.quantiles(times, n=4)
        memory = compiled[name].memory_analysis().temp_size_in_bytes / 2**20
        spread = f"{1e3 * low:.0f}-{1e3 * high:.0f}"
        print(f"{name:26} {1e3 * median:10.0f} {spread:>15} {base / median:6.2f}x {memory:14.0f}")


if __name__ == "__main__":
    main()
