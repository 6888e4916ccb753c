"""An update of a plain transformer with T5's biases on ListOps, by the program that train.py runs and in PyTorch.

python -m benchmarks.training [--lengths=24,48] [--batch=128] [--repetitions=20] [--keep_freed_memory] [--json=PATH]

PyTorch runs it eagerly and compiled, from the same weights and on the same batch: that the losses of the first updates agree is
checked. Without PyTorch ours is timed alone. The target is of the faster of the two.
"""

import argparse
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from attention.data import batches
from attention.training import config as configs
from attention.training import config_files, recipe
from attention.training.cohort import devices
from attention.training.cohort.members import new_cohort, resolve_axis
from attention.training.cohort.update import Update
from benchmarks import _runner

TARGET = 1.05  # of the time of the faster of eager and compiled PyTorch
CONFIG = Path(__file__).parent.parent / "configs" / "listops.py"
CHECKED = 3  # updates whose losses are compared, and within what
TOLERANCE = 1e-3
COLUMNS = {**_runner.TIMES, "of ours": lambda row: f"{row.ratio:.2f}"}

Step = Callable[[], float]  # an update, and the loss before it


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints a table for each length."""
    parser = _runner.parser(__doc__)
    parser.add_argument("--lengths", default="24,48", help="padded lengths T, multiples of 8 between commas")
    parser.add_argument("--batch", type=int, default=128, help="B, examples of an update")
    options = parser.parse_args(arguments)
    lengths = _lengths(parser, options.lengths)
    report = _runner.Report(options)
    experiment = recipe.experiment(settings(options.batch))
    for T in lengths:
        steps = made(experiment, batch_of(experiment, options.batch, T))
        check({name: [step() for _ in range(CHECKED)] for name, step in steps.items()})
        cases = [_runner.Case(name, step, peer="ours") for name, step in steps.items()]
        rows = report.run(
            f"an update of a plain transformer on listops, B={options.batch}, T={T}", cases, COLUMNS, length=T, target=TARGET
        )
        if len(rows) > 1:
            faster = min(rows[1:], key=lambda row: row.ratio)
            ratio = 1.0 / faster.ratio
            verdict = "" if ratio <= TARGET else " MISSED"
            print(f"ours is {ratio:.2f} of {faster.name}, target {TARGET}{verdict}", flush=True)


def settings(batch: int) -> configs.Config:
    """The config with a plain transformer and one seed; its learning rate is constant from the start, as in PyTorch."""
    fields = config_files.base_config(CONFIG).to_dict()
    fields["seeds"], fields["rival"] = (0,), "none"
    fields["model"] |= {"encoder": "transformer(layers=4, mlp=2)", "encoding": "t5"}
    fields["training"] |= {"batch_size": batch, "warmup": 0, "schedule": "constant"}
    return configs.from_dict(fields)


def batch_of(experiment: recipe.Experiment, count: int, T: int) -> dict[str, np.ndarray]:
    """The longest examples of train that fit into T tokens."""
    train = experiment.data.splits["train"]
    order = np.argsort(train.extents, kind="stable")
    fitting = order[train.extents[order] <= T]
    if len(fitting) < count:
        raise SystemExit(f"error: {len(fitting)} examples of train fit into {T} tokens, a batch has {count}")
    return batches.gather(train, fitting[-count:], T)


def made(experiment: recipe.Experiment, batch: Mapping[str, np.ndarray]) -> dict[str, Step]:
    """The updates by name, all from the same weights."""
    axis, seeds, count = resolve_axis(experiment.config.cohort.axis), jnp.zeros(1, jnp.uint32), jnp.int32(1)
    draw = jax.jit(lambda count: new_cohort(experiment.program, count, seeds, {}, None).members)
    members, weights = draw(count), jax.tree.map(lambda leaf: np.array(leaf[0]), draw(count).params)
    values = {name: jnp.asarray(value) for name, value in configs.member_values(experiment.config).items()}
    groups = devices.layout(1, experiment.config.training.batch_size, jax.devices()[:1]).groups
    update, state = Update(experiment.program, axis, groups, values), devices.spread(members, groups)
    of_members = {name: array[None] for name, array in batch.items()}
    before = 0.0

    def ours() -> float:
        nonlocal state, before
        state, done = update(state, of_members)  # NumPy's arrays, as train.py gives them
        jax.block_until_ready(done)
        loss = float(state.joined().sums["loss"][0])
        total, before = loss - before, loss
        return total / len(batch["labels"])

    steps: dict[str, Step] = {"ours": ours}
    if has_torch():
        from benchmarks import _training_twin

        numbers = [float(values[name][0]) for name in ("learning_rate", "weight_decay", "clip_norm")]
        for compiled in (False, True):
            steps[f"torch {'compiled' if compiled else 'eager'}"] = _training_twin.updates(
                weights, batch, *numbers, compiled=compiled
            )
    return steps


def has_torch() -> bool:
    """Whether PyTorch is there, which the rest of the project does without."""
    return importlib.util.find_spec("torch") is not None


def check(losses: Mapping[str, Sequence[float]]) -> None:
    """Prints the losses of the first updates. Raises AssertionError where the models do not do the same."""
    for name, found in losses.items():
        print(f"{name}: first losses {', '.join(f'{loss:.5f}' for loss in found)}", flush=True)
        np.testing.assert_allclose(found, losses["ours"], rtol=TOLERANCE, err_msg=f"{name} is not the model of ours")


def _lengths(parser: argparse.ArgumentParser, given: str) -> list[int]:
    """Whole multiples of 8 above 0."""
    parts = given.split(",")
    if not all(part.isdecimal() and int(part) and int(part) % 8 == 0 for part in parts):
        parser.error(f"--lengths wants multiples of 8 between commas, got {given}")
    return [int(part) for part in parts]


if __name__ == "__main__":
    main()
