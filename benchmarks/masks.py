"""The chunked kernel under every mask beside ``full``: time, the share of scores it computes, and that of pairs allowed.

python -m benchmarks.masks [--lengths=1024,4096] [--only=SPEC ...] [--repetitions=20] [--keep_freed_memory] [--json=PATH]

Forward and backward pass of attention at B2 N2 H64 float32, with one text of full length and one of three quarters of it.
Between the two shares lies what blocks cannot skip. Segments of ``document`` are not known in advance, so it skips nothing.

Target: ``local(window=128)`` at most 1/6 of ``full`` at T = 4096.
"""

import dataclasses
import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp

import attention
from attention.attend import completed, parts_of
from attention.kernels import Problem
from attention.positions import last_key
from benchmarks import _runner

SHAPE = {"B": 2, "N": 2, "H": 64}
SEGMENTS = 8
SPECS = (
    "full", "causal", "local(window=128)", "causal & local(window=128)",
    "dilated(window=64, dilation=2)", "block_local(size=128)",
    "block_local(size=64, neighbours=1)", "longformer(window=128)", "bigbird(block=64)", "causal & bigbird(block=64)",
    "prefix_lm(prefix=128)", "strided(stride=64)", "strided(stride=64, form=fixed)", "document",
)  # fmt: skip
TARGETS = {("local(window=128)", 4096): 1 / 6}
COLUMNS = {
    **_runner.TIMES,
    **_runner.TARGETS,
    "computed": lambda row: f"{100 * row.facts['computed']:.1f} %",
    "allowed": lambda row: f"{100 * row.facts['allowed']:.1f} %",
    "temporary MiB": lambda row: f"{row.facts['temporary_mib']:.0f}",
}


def call_of(length: int) -> attention.Call:
    """Two texts, the second padded, in segments of equal lengths."""
    valid = jnp.arange(length) < jnp.array([[length], [length * 3 // 4]])
    segments = (jnp.arange(length) * SEGMENTS // length)[None]
    return attention.Call(k_valid=valid, q_segments=segments, k_segments=segments)


def shares(spec: str, length: int) -> dict[str, float]:
    """Of all pairs, those computed and those the mask allows in a text of full length."""
    parts, call = parts_of(mask=spec), completed(call_of(length), length, length)
    call = dataclasses.replace(call, k_last=last_key(call, length))
    x = jnp.zeros((SHAPE["B"], length, SHAPE["N"], SHAPE["H"]))
    problem = Problem(x, x, x, (), (), (), None, None, call, call, {}, None, parts, ordered=True)
    allowed = None if parts.mask.apply is None else parts.mask.apply(call, (length, length))
    return {
        "computed": attention.build("kernel", "chunked").plan(problem).plan.scores / length**2,
        "allowed": 1.0 if allowed is None else float(allowed[0].mean()),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints a table per length."""
    parser = _runner.parser(__doc__)
    parser.add_argument("--lengths", default="1024,4096", help="T, with commas between them")
    parser.add_argument("--only", action="append", help="spec to measure beside full; may be repeated")
    options = parser.parse_args(arguments)
    report = _runner.Report(options)
    for length in map(int, options.lengths.split(",")):
        arrays = jax.random.normal(jax.random.key(0), (3, SHAPE["B"], length, SHAPE["N"], SHAPE["H"]))
        cases = []
        for spec in ("full", *(spec for spec in options.only or SPECS if spec != "full")):
            attend = functools.partial(attention.attend, mask=spec, kernel="chunked")
            loss = lambda arrays, call, attend=attend: jnp.sum(attend(*arrays, call=call) ** 2)
            facts, target = shares(spec, length), TARGETS.get((spec, length))
            cases.append(_runner.compiled(spec, jax.grad(loss), arrays, call_of(length), facts=facts, target=target))
        report.run(f"T = {length}, forward and backward", cases, COLUMNS, length=length)


if __name__ == "__main__":
    main()
