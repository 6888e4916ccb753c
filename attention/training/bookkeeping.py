"""How a run goes: what it knows, its start, its lines of metrics, its validations and its checkpoints."""

import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from attention.data import batches, dataset
from attention.evaluation.trained import BEST
from attention.runs import checkpoints
from attention.runs.directory import DataRecord, RunDirectory
from attention.training.cohort.members import Axis, Cohort, Members, evaluated, keep_best, new_cohort
from attention.training.cohort.update import Program, Update
from attention.training.config import Config, member_values
from attention.training.progress import Progress
from attention.tasks._task import TASKS, Task


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
    """What stays the same during a run."""

    config: Config
    data: dataset.Dataset
    plan: batches.Plan
    steps: int
    model: Any
    program: Program
    update: Update
    axis: Axis
    run: RunDirectory

    @property
    def task(self) -> Task:
        """What is learned."""
        return TASKS[self.config.task]

    @property
    def rungs(self) -> list[int]:
        """The updates after which the worse half of the members stops: ``steps 2^-k``, rounded up."""
        return [-(-self.steps // 2**k) for k in range(self.config.cohort.halvings, 0, -1)]

    @property
    def record(self) -> DataRecord:
        """What ``data.json`` says."""
        data = self.data
        facts = data.source, data.hashes, data.classes, data.vocab_size, data.baselines
        return DataRecord(*facts, self.plan.bucket_lengths)


@dataclasses.dataclass
class Course:
    """How far a run has come. Checkpoints hold all of it but ``pending``, which is empty by then."""

    members: Members
    best: Any  # weights of the best validation of each member
    records: list[Record]
    step: int = 0
    train_seconds: float = 0.0  # in updates, validations and checkpoints
    step_seconds: float = 0.0  # in updates alone
    compile_seconds: float = 0.0  # in compiling them
    examples: int = 0
    logged: tuple[float, int] = (0.0, 0)  # step_seconds and examples at the last line of metrics
    pending: Any = None  # of the line still to be written: step, sums on the device, step_seconds, examples
    saved_at: float = 0.0  # train_seconds at the last checkpoint
    saved_step: int | None = None
    improved: bool = False  # whether the best weights have changed since they were last saved

    @property
    def active(self) -> list[bool]:
        """Which members still train."""
        return [record.stopped is None for record in self.records]

    def stepped(self, seconds: float, compiling: float) -> None:
        """Time has gone into updates, some of it into compiling them."""
        self.compile_seconds += compiling
        self.step_seconds += seconds - compiling
        self.train_seconds += seconds


def start(setting: Setting, weights: Any, vectors: Any) -> Course:
    """A new course, or that of the newest checkpoint."""
    config = setting.config
    seeds = jnp.asarray(config.seeds, jnp.uint32)
    make = functools.partial(new_cohort, setting.model, setting.program.direction, average=setting.program.average)
    arguments = (jnp.int32(len(config.seeds)), seeds, weights, vectors)
    found = checkpoints.restore(setting.run.checkpoints, jax.eval_shape(make, *arguments))
    if found is None:
        setting.run.truncate_metrics(0)
        cohort = jax.jit(make)(*arguments)
        return Course(cohort.members, cohort.best, [Record(seed) for seed in config.seeds])
    for damaged in found.skipped:
        print(f"note: skipped a damaged checkpoint, {damaged}")
    meta = found.meta
    setting.run.truncate_metrics(meta["metrics_size"])
    print(f"{setting.run.path}: going on after update {found.step} of {setting.steps}")
    # Copied: what NumPy owns must not be donated.
    members, best = jax.tree.map(lambda x: jnp.array(x, copy=True), found.tree)
    records = [Record(**record) for record in meta["records"]]
    times: dict[str, Any] = {name: meta[name] for name in ("train_seconds", "step_seconds", "compile_seconds", "examples")}
    times |= {"logged": tuple(meta["logged"]), "saved_at": meta["train_seconds"], "saved_step": found.step}
    return Course(members, best, records, found.step, **times)


def write_metrics(setting: Setting, course: Course, progress: Progress) -> None:
    """Writes the line of metrics that is waiting for its update, and notes the members that failed."""
    if course.pending is None:
        return
    step, sums, *spent = course.pending
    sums, course.pending = jax.device_get(sums), None
    factor = float(setting.program.factor(jnp.float32(step - 1)))
    rates = member_values(setting.config)["learning_rate"] * factor
    columns = [_means({name: column[m] for name, column in sums.items()}) for m in range(len(course.records))]
    seconds, examples = (now - before for now, before in zip(spent, course.logged))
    course.logged = (spent[0], spent[1])
    rate = len(course.records) * examples / seconds if seconds > 0 else math.nan
    line = {
        "split": "train",
        "step": step,
        "epoch": step / setting.plan.steps_per_epoch,
        **{name: [column[name] for column in columns] for name in columns[0]},
        "learning_rate": [float(rate) for rate in rates],
        "examples_per_second": rate,
        "seconds": course.train_seconds,
    }
    setting.run.append_metrics(line)
    progress.trained(step, line["loss"], rate)
    for record, failed_at in zip(course.records, sums["failed_at"]):
        if failed_at >= 0 and record.stopped is None:
            record.stopped, record.failed = f"loss or gradient not finite at update {int(failed_at) + 1}", True
            progress.say(f"member with seed {record.seed}: {record.stopped}; stopped")


def _means(sums: dict[str, Any]) -> dict[str, float | None]:
    """The line of a member; None for each where it made no update."""
    over = {"loss": "weight", "accuracy": "examples", "penalty": "updates", "gradient_norm": "updates"}
    over["weight_norm"] = "updates"
    named = {**sums, "accuracy": sums["correct"]}
    return {name: float(named[name] / sums[count]) if sums[count] else None for name, count in over.items()}


def validate(setting: Setting, course: Course, progress: Progress) -> None:
    """Scores every member, keeps the best weights, and stops members that have not improved for too long.

    The line of metrics says of each member the scores and, where the model has attention, what its weights look like
    (``telemetry``); None for a member that had stopped before.
    """
    config, task, encoded = setting.config, setting.task, setting.data.splits["validation"]
    weights, patience = evaluated(course.members), config.training.patience
    outputs = task.outputs(setting.model, weights, encoded, config, setting.record)
    measured = task.telemetry(setting.model, weights, encoded, axis=config.cohort.axis, seed=config.data.seed)
    better, scores = [], []
    for record, member in zip(course.records, outputs):
        score = task.score(member, encoded) if record.stopped is None else None
        scores.append(score)
        better.append(score is not None and (record.best is None or quality(score, task) > quality(record.best, task)))
        if better[-1]:
            record.best_step, record.best, record.worse = course.step, score, 0
        elif score is not None:
            record.worse += 1
            if patience and record.worse >= patience:
                record.stopped = f"no better validation in {patience} after update {record.best_step}"
                progress.say(f"member with seed {record.seed}: {record.stopped}; stopped")
    if course.step in setting.rungs:
        for record in _losers(course.records, task):
            record.stopped = f"in the worse half after update {course.step}"
            progress.say(f"member with seed {record.seed}: {record.stopped}; stopped")
    cohort = Cohort(course.members, course.best)
    course.members, course.best = _keep_best(cohort, jnp.asarray(better), jnp.asarray(course.active))
    course.improved |= any(better)
    columns: dict[str, Any] = {name: [None if score is None else score[name] for score in scores] for name in task.metrics}
    attention = {
        name: [None if score is None else member for score, member in zip(scores, members)]
        for name, members in measured.items()
    }
    line = {"split": "validation", "step": course.step, **columns}
    setting.run.append_metrics({**line, "attention": attention} if attention else line)
    progress.validated(course.step, columns[task.metrics[0]])


_keep_best = jax.jit(keep_best, donate_argnums=0)


def _losers(records: Sequence[Record], task: Task) -> list[Record]:
    """The worse half of the members that still train, by their best validation; of equal ones the later, of one none."""
    active = [(quality(record.best, task), record) for record in records if record.stopped is None and record.best]
    ranked = sorted(active, key=lambda each: each[0], reverse=True)
    return [record for _, record in ranked[-(-len(ranked) // 2) :]]


def quality(score: dict[str, float], task: Task) -> tuple[float, float]:
    """Validations compare by the task's first metric, and equal ones by likelihood."""
    return score[task.metrics[0]], -score["nll"] if math.isfinite(score["nll"]) else -math.inf


def save(setting: Setting, course: Course) -> None:
    """Writes a checkpoint, and the best weights where they have changed."""
    folder = setting.run.checkpoints
    if course.improved:
        meta = {"seeds": list(setting.config.seeds), "steps": [record.best_step for record in course.records]}
        checkpoints.save_named(folder, BEST, course.step, course.best, meta)
        course.improved = False
    course.saved_at, course.saved_step = course.train_seconds, course.step
    names = ("train_seconds", "step_seconds", "compile_seconds", "examples", "logged")
    meta = {name: getattr(course, name) for name in names}
    meta["records"] = [dataclasses.asdict(record) for record in course.records]
    meta["metrics_size"] = setting.run.metrics_size()
    checkpoints.save(folder, course.step, Cohort(course.members, course.best), meta)


class Batches:
    """The batches of the members by update: ``tokens``, ``valid`` ``[M B T]``, ``labels`` and ``weight`` ``[M B]``."""

    def __init__(self, encoded: dataset.Encoded, plan: batches.Plan, seeds: Sequence[int]):
        self._encoded, self._plan, self._seeds = encoded, plan, seeds
        self._epoch = -1
        self._orders, self._shapes = np.empty(0), np.empty(0)

    def __call__(self, step: int) -> dict[str, np.ndarray]:
        """The batch of update ``step``, from 0."""
        epoch, index = divmod(step, self._plan.steps_per_epoch)
        if epoch != self._epoch:
            self._orders = np.stack([self._plan.epoch(epoch, seed) for seed in self._seeds], axis=1)
            self._shapes, self._epoch = self._plan.shapes(epoch), epoch
        return batches.gather(self._encoded, self._orders[index], int(self._shapes[index]))
