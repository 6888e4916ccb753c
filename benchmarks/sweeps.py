"""What cohorts save: a sweep beside one process for each of its members, and members x updates per second over their number.

python -m benchmarks.sweeps [--config=configs/sweeps/smoke.py] [--jobs=1,2]
python -m benchmarks.sweeps --curve [--config=configs/listops.py] [--members=1,2,4,8,16,32] [--updates=30]

The first runs ``sweep.py``, and then ``train.py`` for each member of the same sweep, so many processes at a time as ``--jobs``
says, everything from empty caches, and again with the caches that are full then. The data are made beforehand. The second
times updates of one cohort on this device, compiled and warm, at the longest padded length.

Targets: the sweep at least 2 times faster than one process after another on a CPU; on a GPU 32 members of the default config
at least 10 times faster than one after another.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from attention.data import batches
from attention.lab import plan
from attention.training import config as configs
from attention.training import config_files, recipe
from attention.training.cohort import devices
from attention.training.cohort.members import new_cohort, resolve_axis
from attention.training.cohort.update import Update

ROOT = Path(__file__).parent.parent
# Trains the config of a JSON file, as train.py does.
SINGLE = """
import json, sys
from attention.training import backend, command_line, config, loop
def main(argv):
    made = config.from_dict(json.load(open(argv[1])))
    backend.prepare()
    loop.train(made, argv[2])
sys.exit(command_line.run_main(main))
"""


def against_processes(path: str, jobs: list[int]) -> None:
    """Prints how long the sweep of a config file takes, and its members as processes of their own."""
    fields = config_files.base_config(path)
    planned = plan.plan(plan.read(fields.to_dict(), Path(path).stem))
    points = planned.points()
    updates = sum(built.steps for built in planned.built) * len(planned.sweep.seeds)
    print(f"{len(points)} members, {updates} updates in all")
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        files = []
        for number, point in enumerate(points):
            files.append(work / f"{number}.json")
            files[-1].write_text(json.dumps(configs.to_dict(point.config)), encoding="utf-8")
        first: float | None = None
        for caches in ("empty", "full"):
            cache = work / "sweep-cache"
            seconds = _timed([[sys.executable, "sweep.py", f"--config={path}", f"--workdir={work / caches}"]], 1, [cache])
            first = first or seconds
            _show(f"sweep, caches {caches}", seconds, updates, seconds)
            for count in jobs:
                # From empty caches each process compiles for itself; what they leave is shared the second time.
                own = [work / f"cache-{number}" for number in range(len(files))]
                where = [own[0]] * len(files) if caches == "full" else own
                commands = [
                    [sys.executable, "-c", SINGLE, str(file), str(work / f"{caches}-{count}-{number}")]
                    for number, file in enumerate(files)
                ]
                if caches == "empty":
                    for each in own:
                        _clear(each)
                took = _timed(commands, count, where)
                _show(f"{len(files)} processes, {count} at a time, caches {caches}", took, updates, seconds)


def _clear(folder: Path) -> None:
    for path in folder.glob("*"):
        path.unlink()


def _timed(commands: list[list[str]], at_once: int, caches: list[Path]) -> float:
    start, running = time.monotonic(), []
    for number, command in enumerate(commands):
        while len(running) >= at_once:
            running = [process for process in running if process.poll() is None]
            time.sleep(0.02)
        environment = {**os.environ, "JAX_COMPILATION_CACHE_DIR": str(caches[number % len(caches)]), "PYTHONPATH": str(ROOT)}
        running.append(subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL))
    if any([process.wait() for process in running]):
        raise RuntimeError("a process failed")
    return time.monotonic() - start


def _show(name: str, seconds: float, updates: int, sweep: float) -> None:
    print(
        f"{name:48} {seconds:8.1f} s {updates / seconds:8.1f} members x updates/s {seconds / sweep:6.2f} x the sweep",
        flush=True,
    )


def curve(path: str, members: list[int], updates: int) -> None:
    """Prints members x updates per second of cohorts of several sizes."""
    fields = config_files.base_config(path).to_dict()
    fields["training"] |= {"steps": 10**6, "epochs": 0.0}  # the learning rate stays near its peak
    base = configs.from_dict(fields)
    data, axis, one = recipe.load_data(base), resolve_axis(base.cohort.axis), None
    length = recipe.experiment(base, data=data).plan.bucket_lengths[-1]
    what = f"{base.training.batch_size} examples of {length} tokens for each member"
    print(f"{path}: {what}, axis {axis}, {jax.devices()[0].device_kind}")
    for count in members:
        config = configs.from_dict({**fields, "seeds": tuple(range(count))})
        compiled = recipe.experiment(config, data=data).program
        groups = devices.layout(count, config.training.batch_size, jax.devices()[:1]).groups
        update = Update(compiled, axis, groups, configs.member_values(config))
        seeds = jnp.asarray(config.seeds, jnp.uint32)
        state = devices.spread(new_cohort(compiled, jnp.int32(count), seeds, {}, None).members, groups)
        indices = np.random.default_rng(0).integers(0, len(data.splits["train"]), (count, config.training.batch_size))
        batch = jax.device_put(batches.gather(data.splits["train"], indices, length))
        for _ in range(3):
            state, _ = update(state, batch)
        jax.block_until_ready(state.parts)
        start = time.monotonic()
        for _ in range(updates):
            state, _ = update(state, batch)
        jax.block_until_ready(state.parts)
        rate = count * updates / (time.monotonic() - start)
        one = one or rate
        print(f"{count:4} members {rate:10.1f} members x updates/s {rate / one:6.2f} x one", flush=True)


def main() -> None:
    """Parses the flags and measures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--curve", action="store_true", help="cohorts of several sizes in place of processes")
    parser.add_argument("--config", default="", help="a sweep's config; with --curve a run's")
    parser.add_argument("--jobs", default="1,2", help="processes at a time")
    parser.add_argument("--members", default="1,2,4,8,16,32", help="sizes of the cohorts of --curve")
    parser.add_argument("--updates", type=int, default=30, help="updates of each of them")
    given = parser.parse_args()
    whole = lambda text: [int(item) for item in text.split(",")]
    if given.curve:
        curve(given.config or "configs/listops.py", whole(given.members), given.updates)
    else:
        against_processes(given.config or "configs/sweeps/smoke.py", whole(given.jobs))


if __name__ == "__main__":
    main()
