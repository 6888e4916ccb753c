"""A finished run trained for longer: a new run that begins with weights, optimizer, update and best of the old one.

Its updates are those from there to its own last one, and its schedule is that of all of them. Its lines of metrics and its
times begin with those of the old run. So with a constant learning rate it is the run that was asked for as many updates from
the beginning.
"""

from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp

from attention import specs
from attention.data import contracts
from attention.files import json_hash, write_atomic
from attention.messages import shown
from attention.optimizers._optimizer import schedule
from attention.runs import checkpoints, data_record, json_files
from attention.runs.directory import RunDirectory
from attention.runs.identity import differing
from attention.training import budget
from attention.training import config as configs
from attention.training.config import Config

# What may differ: how long is trained, and when it is looked at, saved and stopped.
_FREE = ("steps", "epochs", "tokens", "eval_every", "eval_tokens", "patience")
_FREE += ("log_every", "checkpoint_every", "checkpoint_seconds")


class Earlier(NamedTuple):
    """The run to go on with: its config, its data, the updates done, and a hash of all that it is by then."""

    run: RunDirectory
    settings: Config
    data: data_record.DataRecord
    step: int
    sha256: str
    hash: str

    @property
    def tokenizer(self) -> Any:
        """The state of its tokenizer."""
        return specs.build("tokenizer", self.settings.data.tokenizer).load(self.run.tokenizer)

    @property
    def record(self) -> dict[str, Any]:
        """What a result says of it."""
        return {"run": str(self.run.path), "step": self.step, "hash": self.hash}


def read(config: Config) -> Earlier | None:
    """What ``config.training.continue_from`` names, None where it names nothing.

    Raises:
      ValueError: where there is no such run, it is not finished, the config differs in more than how long is trained, or no
        member trains any more.
    """
    path = config.training.continue_from
    if not path:
        return None
    run, where = RunDirectory(path), f"config.training.continue_from={shown(path)}"
    settings = configs.from_dict(run.read_config())
    if not run.finished:
        raise ValueError(f"{where}: the run is not finished; train.py --workdir={shown(path)} goes on with it")
    _check_config(settings, config, where)
    found = checkpoints.newest(run.checkpoints)
    if found is None:
        raise ValueError(f"{where}: the run has no checkpoint of its last update")
    run.check_of_this_run(found.meta, run.checkpoints)
    if all(record["stopped"] is not None for record in found.meta["records"]):
        raise ValueError(f"{where}: all of its members have stopped, {found.meta['records'][0]['stopped']}")
    start = json_hash({"state": found.sha256, "step": found.step, "seeds": settings.seeds})
    return Earlier(run, settings, run.read_data(), found.step, found.sha256, start)


def _check_config(settings: Config, config: Config, where: str) -> None:
    """Raises ValueError where the two do not share all but how long they train."""
    if settings.cohort.halvings or config.cohort.halvings:
        raise ValueError(f"{where}: config.cohort.halvings stops members by the number of updates; 0 is wanted there and here")
    both = [configs.content(each) for each in (settings, config)]
    for each in both:
        each["training"] = {name: value for name, value in each["training"].items() if name not in _FREE}
    different, _ = differing(both[0], both[1], ())
    if config.training.init_from not in ("", settings.training.init_from):
        raise ValueError(f"{where} and config.training.init_from={shown(config.training.init_from)}: give one start")
    if different:
        free = ", ".join(f"training.{name}" for name in _FREE)
        raise ValueError(f"{where}: {'; '.join(different.values())}; what may differ: {free}")


def files(continue_from: str) -> list[Path]:
    """The files that change where another state lies there."""
    return sorted(RunDirectory(continue_from).checkpoints.glob(f"step-*/{checkpoints.MANIFEST}"))


def check(earlier: Earlier, data: contracts.Dataset, steps: int) -> None:
    """Raises ValueError for other data than those of the old run, and for no more updates than it has."""
    where = f"config.training.continue_from={shown(earlier.run.path)}"
    for name in sorted({*earlier.data.hashes, *data.hashes}):
        if earlier.data.hashes.get(name) != data.hashes.get(name):
            raise ValueError(f"{where}: the run is of other data: its {name} split is not that of {shown(data.source)}")
    if earlier.data.classes != data.classes:
        raise ValueError(f"{where}: the run has other classes than {shown(data.source)}")
    if steps <= earlier.step:
        raise ValueError(f"{where}: the run has {earlier.step} updates; more are wanted in all, got {steps}")


def adopt(earlier: Earlier, experiment: Any, run: RunDirectory, like: Any) -> list[str]:
    """Puts the state of the old run into a new one, which goes on from there as one that was cut off.

    Args:
      earlier: the old run.
      experiment: the new one.
      run: its directory, with all but a checkpoint.
      like: the structure of the state.

    Returns:
      Notes for the user.

    Raises:
      ValueError: where the state is damaged.
    """
    found = checkpoints.restore(earlier.run.checkpoints, like, step=earlier.step)
    assert found is not None  # it has been read
    if found.sha256 != earlier.sha256:
        raise ValueError(f"{earlier.run.checkpoints}: the checkpoint of update {earlier.step} is damaged")
    meta = {**found.meta, "run": run.token}
    write_atomic(run.metrics, earlier.run.metrics.read_bytes()[: meta["metrics_size"]])
    json_files.write(run.continued, earlier.record)
    best = {"seeds": list(earlier.settings.seeds), "steps": [record["best_step"] for record in meta["records"]]}
    checkpoints.save_named(run.checkpoints, checkpoints.BEST, found.step, found.tree.best, {**best, "run": run.token})
    checkpoints.save(run.checkpoints, found.step, found.tree, meta)  # last: with it, all of this has been done
    return _notes(earlier, experiment)


def _notes(earlier: Earlier, experiment: Any) -> list[str]:
    """What is gone on with, and where the learning rate jumps as its schedule becomes that of more updates."""
    notes = [f"goes on with {shown(earlier.run.path)} after update {earlier.step}, up to {experiment.steps}"]
    old = budget.in_updates(earlier.settings, experiment.data.splits["train"])
    training = experiment.config.training
    steps = budget.total_steps(old, experiment.plan.steps_per_epoch)
    before = schedule(old.schedule, steps=steps, warmup=budget.warmup_of(old, steps), end=old.schedule_end)
    was, now = float(before(jnp.int32(earlier.step - 1))), float(experiment.program.factor(jnp.int32(earlier.step)))
    if abs(was - now) > 0.01:
        what = f"schedule={training.schedule} is that of {experiment.steps} updates"
        notes.append(f"{what}: the learning rate goes from {was:.3g} to {now:.3g} of its peak")
    return notes
