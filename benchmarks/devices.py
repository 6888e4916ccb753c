"""Updates of a cohort over 1, 2, 4 and 8 devices: what crosses between them, what each holds, and how long an update takes.

python -m benchmarks.devices [--config=configs/listops.py] [--devices=1,2,4,8] [--members=8,1] [--updates=10] [--json=FILE]

Where the machine has fewer devices, it starts itself anew with as many of its CPU. These share the processor's cores: times
then say what dividing the work costs, not what it gains. A machine's own devices are taken as they are.
"""

import argparse
import functools
import math
import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from attention.data import batches
from attention.files import write_json
from attention.runs.environment import environment
from attention.training import config as configs
from attention.training import config_files, describe, recipe
from attention.training.cohort import devices
from attention.training.cohort.members import new_cohort, resolve_axis
from attention.training.cohort.update import Update
from attention.training.config import member_values

KINDS = ("all-reduce", "all-gather", "all-to-all", "reduce-scatter", "collective-permute")
_BYTES = {"pred": 1, "s8": 1, "u8": 1, "bf16": 2, "f16": 2, "s32": 4, "u32": 4, "f32": 4}


def crossing(program: str) -> dict[str, tuple[int, int]]:
    """How often each kind of collective stands in a compiled program, and the bytes that it gives, of one device.

    Example:
      >>> crossing("%a = (f32[4,8]{1,0}, f32[2]{0}) all-reduce(%b, %c)")
      {'all-reduce': (1, 136)}
    """
    found: dict[str, tuple[int, int]] = {}
    for kind in KINDS:
        given = re.findall(rf"= (.*?) {kind}(?:-start)?\(", program)
        shapes = re.findall(r"(\w+)\[([\d,]*)\]", " ".join(given))
        size = sum(_BYTES[dtype] * math.prod(int(each) for each in sizes.split(",") if each) for dtype, sizes in shapes)
        if given:
            found[kind] = len(given), size
    return found


def measure(path: str, members: int, count: int, updates: int) -> dict[str, Any]:
    """A cohort of a config on so many devices: its program at the longest padded length, and the time of an update."""
    fields = config_files.base_config(path).to_dict()
    fields["training"] |= {"steps": 10**6, "epochs": 0.0}  # the learning rate stays near its peak
    config = configs.from_dict({**fields, "seeds": tuple(range(members))})
    experiment, layout = recipe.experiment(config), recipe.layout(config, jax.devices()[:count])
    program = describe.lowered(experiment, describe.abstract_members(experiment), layout.groups[0]).compile()
    update = Update(experiment.program, resolve_axis(config.cohort.axis), layout.groups, member_values(config))
    seeds = np.asarray(config.seeds, np.uint32)
    new = jax.jit(functools.partial(new_cohort, experiment.program))
    state = devices.spread(new(np.int32(members), seeds, {}, None).members, layout.groups)
    train = experiment.data.splits["train"]
    rows = np.random.default_rng(0).integers(0, len(train), (members, config.training.batch_size))
    batch = batches.gather(train, rows, experiment.plan.bucket_lengths[-1])
    seconds = []
    for _ in range(updates + 2):
        begin = time.perf_counter()
        state, done = update(state, batch)
        jax.block_until_ready(done)
        seconds.append(time.perf_counter() - begin)
    return {
        "members": members,
        "devices": count,
        "used": layout.used,
        "crossing": crossing(program.as_text() or ""),
        "state_mib": update.state_bytes / 2**20,
        "work_mib": update.work_bytes / 2**20,
        "milliseconds": 1e3 * float(np.median(seconds[2:])),
    }


def row(found: Mapping[str, Any]) -> str:
    """What is printed of a cohort."""
    crossed = [f"{times} {kind} of {size:,} bytes" for kind, (times, size) in found["crossing"].items()]
    who = f"{found['members']:3} members {found['used']:2} of {found['devices']} devices {found['milliseconds']:8.1f} ms"
    holds = f"{found['state_mib']:7.1f} MiB of state and batch {found['work_mib']:7.1f} MiB while it computes"
    return f"{who} {holds}  {', '.join(crossed) or 'nothing'} crosses"


def main(argv: Sequence[str] | None = None) -> None:
    """Parses the flags and measures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="configs/listops.py", help="a run's config")
    parser.add_argument("--devices", default="1,2,4,8", help="how many")
    parser.add_argument("--members", default="8,1", help="sizes of cohorts")
    parser.add_argument("--updates", type=int, default=10, help="that are timed, of each")
    parser.add_argument("--json", type=Path, help="file to write what was measured to")
    given = parser.parse_args(argv)
    counts, members = ([int(item) for item in text.split(",")] for text in (given.devices, given.members))
    if jax.device_count() < max(counts):
        flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={max(counts)}"
        command = [sys.executable, "-m", "benchmarks.devices", *(sys.argv[1:] if argv is None else argv)]
        raise SystemExit(subprocess.call(command, env={**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}))
    where = environment()
    print(f"{given.config}: {where['device']}, {where['cores']} cores, jax {where['jax']}, load {os.getloadavg()[0]:.1f}")
    rows = []
    for size in members:
        for count in counts:
            rows.append(measure(given.config, size, count, given.updates))
            print(row(rows[-1]), flush=True)
    if given.json is not None:
        write_json(given.json, {"environment": where, "rows": rows})


if __name__ == "__main__":
    main()
