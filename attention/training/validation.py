"""The validations of a run: scores of every member, its best weights, and which members stop."""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from attention.tasks import Task
from attention.training.bookkeeping import Course, Record, Setting
from attention.training.cohort import devices
from attention.training.cohort.devices import Group, Spread
from attention.training.cohort.members import Cohort, Members, evaluated, keep_best
from attention.training.cohort.predict import measure, of_members, predict
from attention.training.cohort.program import Program
from attention.training.progress import Progress


def validate(setting: Setting, course: Course, progress: Progress) -> None:
    """Scores every member, keeps the best weights, and stops members that have not improved for too long.

    The line of metrics says of each member the scores and, where the task measures it, what its attention looks like; None for
    a member that had stopped before.
    """
    config, task, model = setting.experiment.config, setting.experiment.task, setting.experiment.model
    program, encoded = setting.experiment.program, setting.experiment.data.splits["validation"]
    weights = course.members.map(functools.partial(evaluated, program))
    outputs = predict(model, weights, encoded, config, setting.record.bucket_lengths)
    measured = measure(model, weights, encoded, config)
    scores = [
        task.scores(own, encoded) if record.stopped is None else None
        for record, own in zip(course.records, of_members(outputs))
    ]
    better = [_compare(record, score, setting, course, progress) for record, score in zip(course.records, scores)]
    if course.step in setting.rungs:
        for record in _losers(course.records, task):
            _stop(record, f"in the worse half after update {course.step}", progress)
    _keep(program, course, np.array(better), np.array(course.active))
    course.improved |= any(better)
    columns = {metric.name: [None if score is None else score[metric.name] for score in scores] for metric in task.metrics}
    attention = {
        name: [None if score is None else member for score, member in zip(scores, members)]
        for name, members in measured.items()
    }
    line: dict[str, Any] = {"split": "validation", "step": course.step, **columns}
    setting.run.append_metrics({**line, "attention": attention} if attention else line)
    progress.validated(course.step, columns[task.metrics[0].name], share=task.metrics[0].share)


def _keep(program: Program, course: Course, better: np.ndarray, active: np.ndarray) -> None:
    """``keep_best`` of the members of each group."""

    def keep(group: Group, members: Members, best: Any) -> Cohort:
        return _keep_best(program, Cohort(members, best), *group.members((better, active)))

    groups = course.members.groups
    kept = devices.side_by_side(keep, groups, course.members.parts, course.best.parts)
    course.members = Spread(groups, tuple(part.members for part in kept))
    course.best = Spread(groups, tuple(part.best for part in kept))


_keep_best = jax.jit(keep_best, static_argnums=0, donate_argnums=1)


def _compare(record: Record, score: dict[str, float] | None, setting: Setting, course: Course, progress: Progress) -> bool:
    """Whether a member's score is its best; counts those that are not, and stops the member after too many."""
    if score is None:
        return False
    quality, patience = setting.experiment.task.quality, setting.experiment.config.training.patience
    if record.best is None or quality(score) > quality(record.best):
        record.best_step, record.best, record.worse = course.step, score, 0
        return True
    record.worse += 1
    if patience and record.worse >= patience:
        _stop(record, f"no better validation in {patience} after update {record.best_step}", progress)
    return False


def _stop(record: Record, reason: str, progress: Progress) -> None:
    record.stopped = reason
    progress.say(f"member with seed {record.seed}: {reason}; stopped")


def _losers(records: Sequence[Record], task: Task) -> list[Record]:
    """The worse half of the members that still train, by their best validation; of equal ones the later, of one none."""
    active = [(task.quality(record.best), record) for record in records if record.stopped is None and record.best]
    ranked = sorted(active, key=lambda each: each[0], reverse=True)
    return [record for _, record in ranked[-(-len(ranked) // 2) :]]
