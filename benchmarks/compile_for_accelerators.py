"""The updates of all configs, compiled for accelerators that are not here: what they take of memory, and of time at least.

python -m benchmarks.compile_for_accelerators --device=h200 [--config=NAME ...] [--members=1,8,32] [--again]
python -m benchmarks.compile_for_accelerators --page

For ``h200``, ``pip install --no-deps jax-cuda13-plugin==V jax-cuda13-pjrt==V``, with V the version of jax; for ``v5e``,
``pip install 'jax[tpu]==V'``. Neither needs a driver, nor the device. Data are those of ``$ATTENTION_DATA_DIR`` where a config
has a line ``Offline:``. What is compiled is kept in ``benchmarks/results/accelerators.json`` and not compiled again, so the
same command goes on where it was cut off; ``--page`` writes the table of ``docs/accelerators.md``.

It proves that a program compiles and says what memory it takes. Nothing runs, nothing is tuned, no time is measured.
"""

import argparse
import functools
import math
import os
import re
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from attention.files import parse_json, write_json
from attention.runs.environment import environment
from attention.specs import nearest
from attention.training import config as configs
from attention.training import config_files, recipe
from attention.training.cohort.update import cohort_step
from attention.training.describe import abstract_members, filler
from attention.training.recipe import Experiment

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "accelerators.json"
PAGE = HERE.parent / "docs" / "accelerators.md"
BEGIN, END = "<!-- computed -->\n", "<!-- end -->"
_OFFLINE = re.compile(r'^Offline: +--config\.data\.source="(.+?)"', re.MULTILINE)
_WHOLE = "float32"


class Accelerator(NamedTuple):
    """A device to compile for.

    Attributes:
      title: its name.
      platform: as JAX calls it.
      describe: makes its topology.
      bandwidth: bytes a second that its memory moves, at most.
      rates: floating-point operations a second at most, by what products are computed in.
      rounded: which of ``rates`` ``matmul_precision=default`` has for float32.
      options: of the compiler.
    """

    title: str
    platform: str
    describe: Callable[[], Any]
    bandwidth: float
    rates: Mapping[str, float]
    rounded: str
    options: Mapping[str, Any] = {}


def _topology(*given: str, **options: Any) -> Any:
    from jax.experimental import topologies

    return topologies.get_topology_desc(*given, **options)


def _h200() -> Any:
    return _topology("", "cuda", topology="1x1x1", target_config=(HERE / "h200.txtpb").read_text(encoding="utf-8"))


def _v5e() -> Any:
    os.environ |= {"TPU_SKIP_MDS_QUERY": "1", "TPU_ACCELERATOR_TYPE": "v5litepod-4", "TPU_WORKER_HOSTNAMES": "localhost"}
    return _topology("v5e:2x2", "tpu")


# Figures of the makers, without sparsity. A TPU makes products of float32 out of six of bfloat16. XLA's own kernels for
# products want to be tuned on the device, and without it some cannot be built: cuBLAS takes all of them.
_CUBLAS = {"xla_gpu_enable_triton_gemm": False}
DEVICES = {
    "h200": Accelerator("H200", "cuda", _h200, 4.8e12, {_WHOLE: 67e12, "TF32": 494e12, "bfloat16": 989e12}, "TF32", _CUBLAS),
    "v5e": Accelerator("TPU v5e", "tpu", _v5e, 0.819e12, {_WHOLE: 197e12 / 6, "bfloat16": 197e12}, "bfloat16"),
}


def names() -> list[str]:
    """The configs of runs and of sweeps that come along; ``base`` is what all others begin with, and trains nothing else."""
    return [name for name in config_files.names() if name != "base"]


def experiment(name: str, members: int) -> Experiment:
    """What a config trains, or the first variant of a sweep, with so many seeds."""
    fields = config_files.base_config(name).to_dict()
    sweep = fields.pop("sweep", None)
    for field, value in dict(sweep["variants"][0][1]).items() if sweep else ():
        section, _, field = field.rpartition(".")
        (fields[section] if section else fields)[field] = value
    offline = _OFFLINE.search(config_files.find(name)[0].read_text(encoding="utf-8"))
    if offline and "ATTENTION_DATA_DIR" in os.environ:
        fields["data"]["source"] = offline[1]
    return _experiment(configs.from_dict({**fields, "rival": "none", "trackers": "none"}), members)


@functools.lru_cache(maxsize=1)
def _loaded(config: configs.Config) -> Any:
    return recipe.load_data(config)


def _experiment(config: configs.Config, members: int) -> Experiment:
    one = configs.members(config)[0]
    return recipe.experiment(_with_seeds(one, members), data=_loaded(one))


def _with_seeds(config: configs.Config, members: int) -> configs.Config:
    return configs.from_dict({**configs.to_dict(config), "seeds": tuple(range(members))})


def compiled(made: Experiment, device: Accelerator, topology: Any) -> dict[str, Any]:
    """What is known of an update of ``made`` at its longest padded length, all members at once, once it is compiled."""
    here = NamedSharding(Mesh(np.array(topology.devices).reshape(-1)[:1], ("x",)), PartitionSpec())
    given = jnp.int32(len(made.config.seeds)), abstract_members(made), filler(made), configs.member_values(made.config)
    arrays = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=here), given)
    start = time.monotonic()
    lowered = cohort_step(made.program, "vmap").trace(*arrays).lower(lowering_platforms=(device.platform,))
    program = lowered.compile(compiler_options=device.options)
    seconds = time.monotonic() - start
    memory = program.memory_analysis()
    costs = program.cost_analysis() or _counted(lowered, program)
    told = device.platform == "cuda"  # a TPU's compiler says 0
    return {
        "batch": made.config.training.batch_size,
        "length": int(made.plan.bucket_lengths[-1]),
        "kernel": made.model.kernel_at(made.config.training.batch_size, made.plan.bucket_lengths[-1]),
        "compute_dtype": made.config.model.compute_dtype,
        "state_bytes": memory.argument_size_in_bytes,
        "work_bytes": memory.temp_size_in_bytes if told else None,
        "operations": costs["flops"],
        "moved_bytes": costs["bytes accessed"],
        "loops": " while(" in program.as_text(),
        "compiling_seconds": round(seconds, 1),
    }


def _counted(lowered: Any, program: Any) -> Mapping[str, float]:
    """Operations and bytes, for a device whose compiler does not count them: XLA does, but in what it calls libraries for.

    So operations are those before compiling, and the bytes of a library's product are its operands' and its result's.
    """
    from jaxlib import xla_client

    count = functools.partial(xla_client._xla.hlo_module_cost_analysis, jax.devices("cpu")[0].client)
    (module,) = program.runtime_executable().hlo_modules()
    calls = library_bytes(program.as_text())
    unknown = len(calls)  # XLA says -1 of each
    moved = count(module)["bytes accessed"] + unknown + sum(calls)
    return {"flops": count(lowered.compiler_ir("hlo").as_hlo_module())["flops"], "bytes accessed": moved}


_MADE = re.compile(r"^ *(?:ROOT )?%(\S+) = \(?(\w+)\[([\d,]*)\].*? ([\w-]+)\(([^)]*)\)", re.MULTILINE)
_BITS = re.compile(r"\d+")


def library_bytes(program: str) -> list[int]:
    """The bytes that each call of a library reads and writes, but for its own working memory.

    Args:
      program: text of a compiled program, in which a result is ``%name = type[sizes]{layout} operation(%operand, ...)``.
    """
    sizes, calls = {}, []
    for name, kind, shape, operation, operands in _MADE.findall(program):
        bits = _BITS.search(kind)
        each = int(bits[0]) // 8 if bits else 1  # pred
        sizes[name] = each * math.prod(int(size) for size in shape.split(",") if size)
        if operation == "custom-call":
            calls.append(sizes[name] + sum(sizes.get(operand.strip(" %"), 0) for operand in operands.split(",")))
    return calls


def least_seconds(row: Mapping[str, Any], device: Accelerator, rate: str) -> tuple[float, str]:
    """The time below which the device cannot go with products of this rate, and what holds it back."""
    limits = {"memory": row["moved_bytes"] / device.bandwidth, rate: row["operations"] / device.rates[rate]}
    return max((seconds, what) for what, seconds in limits.items())


def read() -> dict[str, Any]:
    """What has been compiled so far, by ``DEVICE NAME MEMBERS``."""
    return parse_json(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {"rows": {}}


def compile_all(name: str, wanted: Sequence[str], members: Sequence[int], again: bool) -> None:
    """Compiles what is not in the results yet, and adds each program to them once it is there."""
    device, topology = DEVICES[name], None
    for config in wanted:
        for count in members:
            key = f"{name} {config} {count}"
            if key in read()["rows"] and not again:
                continue
            topology = topology or _topology_of(device)
            try:
                row = compiled(experiment(config, count), device, topology)
            except ValueError as error:  # of data that are not here
                print(f"{key}: {str(error).partition(chr(10))[0]}", flush=True)
                break
            known = environment()
            row |= {"jax": known["jax"], "git_commit": known["git_commit"]}
            kept = read()  # another process may have added to it
            kept["rows"][key] = row
            kept["rows"] = dict(sorted(kept["rows"].items(), key=_order))
            RESULTS.parent.mkdir(exist_ok=True)
            write_json(RESULTS, kept)
            print(f"{key}: {_cells(row, device)}", flush=True)


def _topology_of(device: Accelerator) -> Any:
    """What to compile for. Ends the program with one line where JAX has no compiler for it."""
    try:
        return device.describe()
    except (NotImplementedError, RuntimeError) as error:
        print(f"error: JAX has no compiler for {device.title} here, see --help: {error}", file=sys.stderr)
        raise SystemExit(2) from None


def _order(item: tuple[str, Any]) -> tuple[str, str, int]:
    device, config, members = item[0].split(" ")
    return device, config, int(members)


def _digits(value: float) -> str:
    """A number with three digits."""
    if value == 0:
        return "0"
    return f"{value:,.{max(0, 2 - math.floor(math.log10(abs(value))))}f}"


def _cells(row: Mapping[str, Any], device: Accelerator) -> list[str]:
    rates = [_WHOLE, device.rounded] if row["compute_dtype"] == _WHOLE else ["bfloat16"] * 2
    times = [least_seconds(row, device, rate) for rate in rates]
    work = "not told" if row["work_bytes"] is None else _digits(row["work_bytes"] / 2**20)
    least = [f"{'≥ ' if row['loops'] else ''}{_digits(1e3 * seconds)} ({what})" for seconds, what in times]
    counts = [_digits(row["operations"] / 1e9), _digits(row["moved_bytes"] / 1e9)]
    return [f"{row['batch']} × {row['length']}", _digits(row["state_bytes"] / 2**20), work, *counts, *least]


def tables() -> str:
    """A table for each device that something was compiled for."""
    rows, parts = read()["rows"], []
    for name, device in DEVICES.items():
        own = [(key.split(" "), row) for key, row in rows.items() if key.startswith(f"{name} ")]
        if not own:
            continue
        heads = ["config", "members", "examples × tokens", "state MiB", "work MiB", "GFLOP", "GB moved"]
        heads += [f"ms at least, `{_precision(which)}`" for which in (0, 1)]
        lines = [f"### {device.title}: computed, not measured", "", " | ".join(["", *heads, ""]).strip()]
        lines.append(" | ".join(["", "---", *["---:"] * (len(heads) - 1), ""]).strip())
        for (_, config, members), row in own:
            lines.append(" | ".join(["", f"`{config}`", members, *_cells(row, device), ""]).strip())
        versions = sorted({row["jax"] for _, row in own})
        lines += ["", f"{len(own)} program{'s' * (len(own) > 1)}, compiled with jax {', '.join(versions)}.", ""]
        parts.append("\n".join(lines))
    return "\n".join(parts)


def _precision(which: int) -> str:
    return ("highest", "default")[which]


def page(text: str) -> str:
    """The page with its tables made anew."""
    before, rest = text.split(BEGIN, 1)
    return f"{before}{BEGIN}\n{tables()}\n{END}{rest.split(END, 1)[1]}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Compiles, or writes the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=tuple(DEVICES), help="to compile for")
    parser.add_argument("--config", action="append", help="name of a config; may be repeated; all by default")
    parser.add_argument("--members", default="1,8,32", help="sizes of the cohorts, with commas between them")
    parser.add_argument("--again", action="store_true", help="what is in the results, too")
    parser.add_argument("--page", action="store_true", help="write the tables of docs/accelerators.md")
    options = parser.parse_args(arguments)
    if options.device is None and not options.page:
        parser.error("give --device or --page")
    if options.device is not None:
        jax.config.update("jax_platforms", "cpu")  # the plugin would look for a device
        if not all(size.isdecimal() and int(size) for size in options.members.split(",")):
            parser.error(f"--members wants numbers of 1 or more between commas, got {options.members}")
        if unknown := sorted({*(options.config or ())} - {*names()}):
            parser.error(f"--config={unknown[0]} is none of them{nearest(unknown[0], names())}")
        members = [int(size) for size in options.members.split(",")]
        compile_all(options.device, options.config or names(), members, options.again)
    if options.page:
        PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
