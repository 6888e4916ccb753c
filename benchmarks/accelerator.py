"""What a GPU or TPU makes of this code, in less than eight minutes: one table, whose values are checked against the CPU.

python -m benchmarks.accelerator [--seconds=450] [--repetitions=20] [--json=PATH] [--tiny]

- an update of three configs in float32, with factors rounded as ``config.model.matmul_precision=default`` has it, and in
  bfloat16: ``difference`` is that of loss and norm of the gradient from the CPU's, in float32, relative;
- attention forward and backward by length: ``dense``, ``chunked``, ``cudnn`` and JAX's own, beside dense in float32: difference
  of output and gradients from the CPU's, of the largest;
- members of a cohort, all at once (``vmap``) beside one after another (``map``): members × updates per second.

What does not fit into the time is left out and named. The exit code is 1 where a difference is larger than what its products
are rounded by allows. ``--tiny`` goes the same way in small, on whatever there is: a test of this file.
"""

import dataclasses
import functools
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import attention
from attention.attend import parts_of
from attention.data import batches
from attention.kernels import Ask, Given, chosen
from attention.training import config as configs
from attention.training import config_files, recipe
from attention.training.cohort.members import Axis, Members, new_cohort
from attention.training.cohort.update import cohort_step
from attention.training.recipe import Experiment
from benchmarks import _runner
from benchmarks._runner import Case

SOURCES = {
    "listops": "listops(train=1000, validation=100, test=100, lengths=100)",
    "lm/sort": "lm_sort(symbols=16, train=1000, validation=100, test=100, lengths=100)",
    "seq2seq/reverse": "reverse(train=1000, validation=100, test=100)",
}
# How products are computed, as fields of the model, and how far from the CPU's values they may lead.
PRODUCTS = {
    "float32": ({"matmul_precision": "highest"}, 1e-4),
    "float32, default": ({"matmul_precision": "default"}, 3e-2),
    "bfloat16": ({"compute_dtype": "bfloat16"}, 1e-1),
}
TOKENS, HEADS, WIDTH = 8192, 8, 64  # of the attention by length
KERNELS = ("dense", "chunked", "cudnn", "jax.nn")
COLUMNS = {
    "median ms": _runner.TIMES["median ms"],
    "quartiles": _runner.TIMES["quartiles"],
    "ratio": lambda row: f"{row.ratio:.2f}",
    "members x updates/s": lambda row: f"{row.facts['members'] / row.median:.1f}" if "members" in row.facts else "",
    "temporary MiB": lambda row: _shown(row.facts["temporary_mib"], "{:.1f}"),
    "difference": lambda row: _shown(row.facts.get("difference"), "{:.1e}") + (" TOO LARGE" if _wrong(row) else ""),
}


def _shown(value: float | None, form: str) -> str:
    return "" if value is None else form.format(value)


def _wrong(row: _runner.Measured) -> bool:
    difference = row.facts.get("difference")
    return difference is not None and not difference <= row.facts["allowed"]  # NaN is too large


# ---- updates


def experiment(name: str, members: int, tiny: bool, **model: Any) -> Experiment:
    """What a config trains with so many seeds and these fields of the model; few examples, of the usual lengths."""
    fields = config_files.base_config(name).to_dict()
    fields["data"]["source"], fields["rival"], fields["seeds"] = SOURCES[name], "none", tuple(range(members))
    fields["model"] |= model
    if tiny:
        fields["training"]["batch_size"], fields["model"]["dim"] = 4, 16
        fields["model"]["encoder"] = "transformer(layers=1)"
    settings = configs.from_dict(fields)
    return recipe.experiment(settings, data=_data(dataclasses.replace(settings, model=configs.ModelConfig(), seeds=(0,))))


@functools.cache
def _data(settings: configs.Config) -> Any:
    return recipe.load_data(settings)


def arguments(made: Experiment) -> tuple[Any, ...]:
    """Count, first state, batch and values of a cohort, drawn on the CPU."""
    count, train = len(made.config.seeds), made.data.splits["train"]
    indices = np.random.default_rng(0).integers(0, len(train), (count, made.config.training.batch_size))
    batch = batches.gather(train, indices, made.plan.bucket_lengths[-1])
    with jax.default_device(jax.devices("cpu")[0]):
        seeds = jnp.asarray(made.config.seeds, jnp.uint32)
        draw = jax.jit(lambda count, seeds: new_cohort(made.program, count, seeds, {}, None).members)
        state = draw(jnp.int32(count), seeds)
    return jnp.int32(count), state, batch, configs.member_values(made.config)


def sums(state: Members) -> np.ndarray:
    """Loss and norm of the gradient of the first update of each member, ``[2 M]``."""
    return np.stack([np.asarray(state.sums[name], np.float64) for name in ("loss", "gradient_norm")])


def update_case(name: str, made: Experiment, axis: Axis, device: Any, wanted: np.ndarray | None, **rest: Any) -> Case:
    """An update, which goes on from the state of the one before; checked against ``wanted`` where that is given."""
    facts, given = dict(rest.pop("facts", {})), jax.device_put(arguments(made), device)
    program = cohort_step(made.program, axis).lower(*given).compile()
    count, state, batch, values = given
    held = [program(count, state, batch, values)[0]]
    if wanted is not None:
        facts["difference"] = float(np.max(np.abs(sums(held[0]) / wanted - 1)))
    memory = program.memory_analysis()

    def run() -> None:
        held[0] = jax.block_until_ready(program(count, held[0], batch, values)[0])

    facts["temporary_mib"] = None if memory is None else memory.temp_size_in_bytes / 2**20
    return Case(name, run, facts=facts, **rest)


def updates(device: Any, tiny: bool) -> Iterator[list[Case]]:
    """A list of cases for each config."""
    for name in SOURCES:
        cpu = jax.devices("cpu")[0]
        reference = experiment(name, 1, tiny)
        with jax.default_device(cpu):
            wanted = sums(cohort_step(reference.program, "map")(*jax.device_put(arguments(reference), cpu))[0])
        cases = []
        for products, (model, allowed) in PRODUCTS.items():
            made, peer = experiment(name, 1, tiny, **model), cases[0].name if cases else None
            facts = {"allowed": allowed}
            cases.append(update_case(f"update {name}, {products}", made, "vmap", device, wanted, peer=peer, facts=facts))
        yield cases


def members(device: Any, tiny: bool) -> Iterator[list[Case]]:
    """A list of two cases for each size of a cohort: all members at once, beside one after another."""
    for count in (1, 2) if tiny else (1, 8, 32):
        made, cases = experiment("listops", count, tiny), []
        for axis in ("map", "vmap"):
            name = f"{count} members of listops, {axis}"
            peer = cases[0].name if cases else None
            cases.append(update_case(name, made, axis, device, None, peer=peer, facts={"members": count}))
        yield cases


# ---- attention by length


def attend(kernel: str) -> Callable[..., jax.Array]:
    """Attention by a kernel, or by JAX's own function."""
    if kernel == "jax.nn":
        return lambda query, key, value: jax.nn.dot_product_attention(query, key, value, is_causal=True)
    return lambda query, key, value: attention.attend(query, key, value, mask="causal", kernel=kernel)


def with_gradients(kernel: str) -> Callable[..., Any]:
    """Output and gradients of attention under a causal mask, with whole products of float32."""

    def loss(query: jax.Array, key: jax.Array, value: jax.Array) -> tuple[jax.Array, jax.Array]:
        output = attend(kernel)(query, key, value)
        return jnp.sum(output.astype(jnp.float32) ** 2), output

    def run(*arrays: jax.Array) -> Any:
        with jax.default_matmul_precision("highest"):
            (_, output), gradients = jax.value_and_grad(loss, (0, 1, 2), has_aux=True)(*arrays)
        return output, *gradients

    return run


def by_length(device: Any, tiny: bool) -> Iterator[list[Case]]:
    """A list of cases for each length; at the shortest they are checked."""
    tokens, heads, width = (64, 2, 8) if tiny else (TOKENS, HEADS, WIDTH)
    checked = False
    for length in (16, 32) if tiny else (512, 2048, 8192):
        shape, rng, cases = (tokens // length, length, heads, width), np.random.default_rng(0), []
        arrays = [rng.normal(size=shape).astype(np.float32) for _ in range(3)]
        wanted = None
        if not checked:
            checked = True
            wanted = jax.device_get(jax.jit(with_gradients("dense"))(*jax.device_put(arrays, jax.devices("cpu")[0])))
        for kernel, dtype in [("dense", "float32"), ("chunked", "float32"), *((k, "bfloat16") for k in KERNELS)]:
            name = f"attention T={length}, {kernel} {dtype}"
            if reason := refusal(kernel, shape, dtype):
                print(f"{name}: left out, {reason}", flush=True)
                continue
            given = jax.device_put([jnp.asarray(array, dtype) for array in arrays], device)
            facts = {}
            if wanted is not None:
                found = jax.device_get(jax.jit(with_gradients(kernel))(*given))
                facts = {"difference": _largest(found, wanted), "allowed": 1e-4 if dtype == "float32" else 5e-2}
            peer = cases[0].name if cases else None
            cases.append(_runner.compiled(name, with_gradients(kernel), *given, facts=facts, peer=peer))
        yield cases


def refusal(kernel: str, shape: tuple[int, ...], dtype: str) -> str | None:
    """Why a kernel cannot be measured here; None where it can."""
    if kernel == "jax.nn":
        return None
    B, T, N, H = shape
    given = Given(dtypes=(jnp.dtype(dtype),) * 3, sizes=(H, H))
    try:
        chosen(kernel, Ask(parts_of(mask="causal"), (B, N, T, T), given=given))
    except ValueError as error:
        return str(error)
    return None


def _largest(found: Any, wanted: Any) -> float:
    """The largest difference of arrays, each relative to its largest number."""
    pairs = [(np.asarray(one, np.float64), np.asarray(other, np.float64)) for one, other in zip(found, wanted)]
    return max(float(np.max(np.abs(one - other)) / np.max(np.abs(other))) for one, other in pairs)


# ---- the table


def main(options: Sequence[str] | None = None) -> int:
    """Measures, prints the table, and returns 1 where a value is not the CPU's."""
    parser = _runner.parser(__doc__)
    parser.add_argument("--seconds", type=float, default=450.0, help="after which nothing more is begun")
    parser.add_argument("--tiny", action="store_true", help="small sizes, to see that all of it runs")
    given = parser.parse_args(options)
    if jax.default_backend() == "cpu" and not given.tiny:
        parser.error("JAX has no GPU or TPU here, and a CPU is what it would be held to; --tiny goes the same way in small")
    began, device, report = time.monotonic(), jax.devices()[0], _runner.Report(given)
    rows, left_out = [], []
    for what, groups in (("updates", updates), ("attention by length", by_length), ("members", members)):
        making = groups(device, given.tiny)
        while True:
            if time.monotonic() - began > given.seconds:
                left_out.append(what)
                break
            cases = next(making, None)
            if cases is None:
                break
            rows += report.run(what, cases, COLUMNS)
    print(f"\n{device.device_kind}, jax {jax.__version__}, {time.monotonic() - began:.0f} s\n{_runner.table(rows, COLUMNS)}")
    for what in left_out:
        print(f"not all of: {what} ({given.seconds:g} s were over)")
    wrong = [row.name for row in rows if _wrong(row)]
    if wrong:
        print(f"not what the CPU gives: {', '.join(wrong)}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
