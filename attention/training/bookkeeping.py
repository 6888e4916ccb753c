"""How a run goes: what it knows, its start, its lines of metrics and its checkpoints."""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from attention.data.contracts import Encoded
from attention.runs import checkpoints
from attention.runs.directory import DataRecord, RunDirectory
from attention.training import longer, machine, recipe
from attention.training.cohort import devices
from attention.training.cohort.devices import Layout, Spread
from attention.training.cohort.members import Axis, Cohort, new_cohort
from attention.training.cohort.update import Update
from attention.training.config import member_values
from attention.training.process import Spent
from attention.training.progress import Progress


@dataclasses.dataclass
class Record:
    """What is known of a member beside its arrays.

    Attributes:
      seed: of the member.
      best_step: updates before its best validation, None before the first.
      best: the scores of that validation.
      worse: validations since then.
      stopped: why it stopped before the end; None where it did not.
      failed: whether that was a loss or a gradient that is not finite.
    """

    seed: int
    best_step: int | None = None
    best: dict[str, float] | None = None
    worse: int = 0
    stopped: str | None = None
    failed: bool = False


class Setting(NamedTuple):
    """What stays the same during a run: what it trains, where, and how."""

    experiment: recipe.Experiment
    run: RunDirectory
    update: Update
    axis: Axis
    layout: Layout

    @property
    def rungs(self) -> list[int]:
        """The updates after which the worse half of the members stops: ``steps 2^-k``, rounded up."""
        halvings = self.experiment.config.cohort.halvings
        return [-(-self.experiment.steps // 2**k) for k in range(halvings, 0, -1)]

    @property
    def record(self) -> DataRecord:
        """What ``data.json`` says."""
        data = self.experiment.data
        splits = {
            name: {**facts, "baselines": data.baselines[name], **class_counts(data.splits[name], len(data.classes))}
            for name, facts in data.statistics.items()
        }
        for name, tokens in data.tokens.items():
            splits[name]["tokens"] = tokens
        facts = data.source, data.hashes, data.classes, data.vocab_size, self.experiment.plan.bucket_lengths
        return DataRecord(*facts, data.rules, splits, recipe.notes(data))


def class_counts(encoded: Encoded, classes: int) -> dict[str, list[int]]:
    """The texts of each class, as ``data.json`` has them of a split; nothing where a text has no class or several."""
    labels = encoded.labels
    if not classes or labels.ndim != 1 or not len(labels) or labels.min() < 0:
        return {}
    return {"class_counts": np.bincount(labels, minlength=classes).tolist()}


@dataclasses.dataclass
class Course:
    """How far a run has come. Checkpoints hold all of it but ``pending``, which is empty by then."""

    members: Spread  # of ``Members``
    best: Spread  # weights of the best validation of each member
    records: list[Record]
    step: int = 0
    train_seconds: float = 0.0  # in updates, validations and checkpoints
    step_seconds: float = 0.0  # in updates alone
    process_seconds: float = 0.0  # of all processors in these; NaN where a run of before did not count them
    compile_seconds: float = 0.0  # in compiling them
    examples: int = 0
    logged: tuple[float, int] = (0.0, 0)  # step_seconds and examples at the last line of metrics
    loads: tuple[float, int] = (0.0, 0)  # of the machine at each line of metrics: their sum and number
    pending: Any = None  # of the line still to be written: step, sums on the device, step_seconds, examples
    saved_at: float = 0.0  # train_seconds at the last checkpoint
    saved_step: int | None = None
    improved: bool = False  # whether the best weights have changed since they were last saved

    @property
    def active(self) -> list[bool]:
        """Which members still train."""
        return [record.stopped is None for record in self.records]

    def stepped(self, spent: Spent, compiling: Spent) -> None:
        """Time has gone into updates, some of it into compiling them."""
        updating = spent.less(compiling)
        self.compile_seconds += compiling.seconds
        self.step_seconds += updating.seconds
        self.process_seconds += updating.processor
        self.train_seconds += spent.seconds

    @property
    def load(self) -> float | None:
        """Of the machine, on average; None where it is not known."""
        total, count = self.loads
        return total / count if count else None


_COUNTED = ("train_seconds", "step_seconds", "compile_seconds", "examples")


def start(setting: Setting, weights: Any, vectors: Any, earlier: longer.Earlier | None = None) -> Course:
    """A new course, or that of the newest checkpoint: of the run itself, or of the earlier one that it goes on with."""
    config = setting.experiment.config
    seeds, groups = jnp.asarray(config.seeds, jnp.uint32), setting.layout.groups
    make = functools.partial(new_cohort, setting.experiment.program)
    arguments = (jnp.int32(len(config.seeds)), seeds, weights, vectors)
    like = jax.eval_shape(make, *arguments)
    if earlier is not None:
        for note in longer.adopt(earlier, setting.experiment, setting.run, like):
            print(f"note: {note}")
    found = checkpoints.restore(setting.run.checkpoints, like)
    if found is None:
        setting.run.truncate_metrics(0)
        return Course(*_new(setting, make, arguments), [Record(seed) for seed in config.seeds])
    for damaged in found.skipped:
        print(f"note: skipped a damaged checkpoint, {damaged}")
    meta = found.meta
    setting.run.check_of_this_run(meta, setting.run.checkpoints)
    setting.run.truncate_metrics(meta["metrics_size"])
    print(f"{setting.run.path}: going on after update {found.step} of {setting.experiment.steps}")
    # Copied: what NumPy owns must not be donated.
    members, best = (devices.spread(jax.tree.map(lambda x: jnp.array(x, copy=True), tree), groups) for tree in found.tree)
    records = [Record(**record) for record in meta["records"]]
    times: dict[str, Any] = {name: meta[name] for name in _COUNTED}
    times |= {"logged": tuple(meta["logged"]), "saved_at": meta["train_seconds"], "saved_step": found.step}
    processor = meta.get("process_seconds")
    times |= {"process_seconds": math.nan if processor is None else processor, "loads": tuple(meta.get("loads", (0.0, 0)))}
    return Course(members, best, records, found.step, **times)


def _new(setting: Setting, make: Callable[..., Cohort], arguments: tuple[Any, ...]) -> tuple[Spread, Spread]:
    """The members and their weights before the first update, drawn group after group on one device, with one program."""
    _, seeds, weights, vectors = arguments
    drawn, groups = jax.jit(make), setting.layout.groups
    parts = []
    for group in groups:
        count = jnp.int32(group.end - group.first)
        parts.append(jax.device_put(drawn(count, group.members(seeds), group.members(weights), vectors), group.whole))
    return Spread(groups, tuple(part.members for part in parts)), Spread(groups, tuple(part.best for part in parts))


def write_metrics(setting: Setting, course: Course, progress: Progress) -> None:
    """Writes the line of metrics that is waiting for its update, and notes the members that failed."""
    if course.pending is None:
        return
    step, sums, *spent = course.pending
    sums, course.pending = jax.device_get(sums.joined()), None
    experiment = setting.experiment
    factor = float(experiment.program.factor(jnp.float32(step - 1)))
    rates = member_values(experiment.config)["learning_rate"] * factor
    columns = [_means({name: column[m] for name, column in sums.items()}) for m in range(len(course.records))]
    seconds, examples = (now - before for now, before in zip(spent, course.logged))
    course.logged = (spent[0], spent[1])
    load = machine.load_average()
    if load is not None:
        course.loads = (course.loads[0] + load, course.loads[1] + 1)
    rate = len(course.records) * examples / seconds if seconds > 0 else math.nan
    line = {
        "split": "train",
        "step": step,
        "epoch": step / experiment.plan.steps_per_epoch,
        **{name: [column[name] for column in columns] for name in columns[0]},
        "learning_rate": [float(rate) for rate in rates],
        **speed(setting, rate),
        "seconds": course.train_seconds,
    }
    setting.run.append_metrics(line)
    progress.trained(step, line["loss"], rate)
    for record, failed_at in zip(course.records, sums["failed_at"]):
        if failed_at >= 0 and record.stopped is None:
            record.stopped, record.failed = f"loss or gradient not finite at update {int(failed_at) + 1}", True
            progress.say(f"member with seed {record.seed}: {record.stopped}; stopped")


def speed(setting: Setting, rate: float) -> dict[str, float]:
    """Examples per second, and tokens where each of these is told something of."""
    tokens = setting.experiment.tokens_per_example
    return {"examples_per_second": rate, **({} if tokens is None else {"tokens_per_second": rate * tokens})}


def _means(sums: dict[str, Any]) -> dict[str, float | None]:
    """The line of a member; None for each where it made no update."""
    over = {"loss": "weight", "accuracy": "examples", "penalty": "updates", "gradient_norm": "updates"}
    over["weight_norm"] = "updates"
    named = {**sums, "accuracy": sums["correct"]}
    return {name: float(named[name] / sums[count]) if sums[count] else None for name, count in over.items()}


def save(setting: Setting, course: Course) -> None:
    """Writes a checkpoint, and the best weights where they have changed."""
    folder = setting.run.checkpoints
    if course.improved:
        steps = [record.best_step for record in course.records]
        meta = {"seeds": list(setting.experiment.config.seeds), "steps": steps, "run": setting.run.token}
        checkpoints.save_named(folder, checkpoints.BEST, course.step, course.best.joined(), meta)
        course.improved = False
    course.saved_at, course.saved_step = course.train_seconds, course.step
    meta = {name: getattr(course, name) for name in (*_COUNTED, "logged", "loads", "process_seconds")}
    meta["records"] = [dataclasses.asdict(record) for record in course.records]
    meta |= {"metrics_size": setting.run.metrics_size(), "run": setting.run.token}
    checkpoints.save(folder, course.step, Cohort(course.members.joined(), course.best.joined()), meta)
