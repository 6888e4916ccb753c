"""Trains the points of a plan, cohort after cohort, so that a kill at any instant loses no finished work.

A cohort that does not fit into memory is halved until it does. A point that cannot be trained at all is recorded with its
reason, and the others go on. Cohorts run one after another, or, where there are several local devices, each on its share of
them: on one where as many cohorts wait as there are devices.
"""

import concurrent.futures
import contextlib
import errno
import fcntl
import functools
import io
import os
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax

from attention.files import TryAgainError, passing
from attention.lab import sweep_record
from attention.lab.board import Board, CohortProgress, title
from attention.lab.plan import BEYOND, Plan, Point
from attention.lab.report.numbers import Metric
from attention.lab.store import Points, cohort_name, folder_name, test_scores
from attention.runs import json_files, tracking
from attention.runs.identity import ChangedError
from attention.runs.opening import InUseError, OldRunError
from attention.training import config as configs
from attention.training import heartbeat, loop
from attention.training.cohort import devices
from attention.training.cohort.devices import Device
from attention.training.command_line import AGAIN, FAILED
from attention.training.process import out_of_memory, signals

_TRIES = 3  # of a cohort that gets no further: processes that died in it


@contextlib.contextmanager
def opened(workdir: str | os.PathLike[str], plan: Plan, *, shared: bool = False) -> Iterator[Points]:
    """The directory of a sweep, made where missing; locked, so that one process at a time runs it all.

    Args:
      workdir: the folder.
      plan: whose directory it is.
      shared: for a process that runs one cohort, beside others.

    Raises:
      ValueError: where the folder belongs to another sweep, listing what differs, is no sweep, cannot be written, or is in
        use.
    """
    path = Path(workdir)
    if path.exists() and (not path.is_dir() or (any(path.iterdir()) and not _is_sweep(path))):
        raise ValueError(f"{path} exists and is not the directory of a sweep; give another --workdir")
    try:
        path.mkdir(parents=True, exist_ok=True)
        lock = open(path / ".lock", "w", encoding="utf-8")  # noqa: SIM115 (held as long as the sweep)
    except OSError as error:
        raise ValueError(f"{path} cannot be written ({error.strerror})") from None
    with lock:
        try:
            fcntl.flock(lock, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InUseError(f"{path} is in use by another process; wait for it or give another --workdir") from None
        sweep_record.enter(path, plan)
        yield Points(path)


def _is_sweep(path: Path) -> bool:
    # A process killed before its record was written leaves a lock and a temporary file.
    return (path / "sweep.json").exists() or all(entry.name.startswith(".") for entry in path.iterdir())


def run(plan: Plan, points: Points, *, retry_failed: bool = False, only: str | None = None) -> None:
    """Trains what is not finished: first the trials of a search, then the members with the values it chose.

    Args:
      plan: the plan.
      points: its directory, from ``opened``.
      retry_failed: whether points recorded as failed are tried again.
      only: name of the one cohort to train, as ``--export=shell`` lists them.

    Raises:
      ValueError: for an unknown ``only``, and for a full disk.
      SystemExit: after SIGINT or SIGTERM, once checkpoints are written.
    """
    if only is not None:
        _run_only(plan, points, only)
        return
    trials = plan.trials()
    if trials:
        _stage(plan, points, trials, retry_failed=retry_failed)
        if points.pending(trials):
            raise TryAgainError(f"{points.path}: trials of the search are still to be trained; the same command tries again")
    _stage(plan, points, plan.points(choices(plan, points)), retry_failed=retry_failed)


def choices(plan: Plan, points: Points) -> dict[str, dict[str, float]]:
    """The values of the best trial of each variant, by validation; a variant all of whose trials failed is not there."""
    found = {}
    search = plan.sweep.search
    draws = [] if search is None else search.draws()
    task = plan.sweep.task
    trials = plan.trials()
    for start in range(0, len(trials), max(len(draws), 1)):
        scored = []
        for drawn, trial in zip(draws, trials[start : start + len(draws)]):
            run = points.run(trial)
            member = run.read_result()["members"][0] if run.finished else {"failed": True, "validation": None}
            if member["validation"] is not None and not member["failed"]:
                scored.append((task.quality(member["validation"]), drawn))
        if scored:
            found[trials[start].variant.name] = max(scored, key=lambda each: each[0])[1]
    return found


def _stage(plan: Plan, points: Points, wanted: Sequence[Point], *, retry_failed: bool) -> None:
    """Trains the points of one stage that are pending."""
    if retry_failed:
        points.forget_failures(wanted)
        for point in wanted:
            if points.run(point).finished and points.run(point).read_result()["members"][0]["failed"]:
                points.put_away(point)
    cohorts = outstanding(plan, points, wanted)
    names = list(dict.fromkeys(point.variant.name for point in wanted))
    task = plan.sweep.task
    steps = {built.variant.name: built.steps for built in plan.built}
    flat = {point.key for cohort in cohorts for point in cohort}
    updates = sum(steps[point.variant.name] for cohort in cohorts for point in cohort if not points.cohort(cohort).finished)
    per_variant = max((sum(point.variant.name == name for point in wanted) for name in names), default=0)
    shares = (BEYOND, *(each.name for each in task.metrics if each.share))
    metric = Metric(plan.sweep.metric, plan.sweep.metric in shares)
    with Board(names, per_variant, metric=metric, updates=updates) as board:
        for point in wanted:
            if point.key not in flat:
                board.known(point.variant.name, _value(points, point, metric.name))
        _work_off(plan, points, deque(enumerate(cohorts, 1)), board)
        board.show_standing()
    points.clear(wanted)


def set_changed_aside(plan: Plan, points: Points) -> str:
    """Puts away the points that were trained with other files of the package, and says how many there were."""
    stale = points.with_other_sources([*plan.trials(), *plan.points(choices(plan, points))])
    for point in stale:
        points.put_away(point)
    count = len(stale)
    return f"{count} trained with other files of the package are trained again; what they were is in {points.path / 'replaced'}"


def outcome(plan: Plan, points: Points, only: str | None = None) -> int:
    """The exit code of a sweep: 0, 1 where something has failed, 75 where something is worth trying again.

    A trial of a search may fail: that is what a search is for; a variant none of whose trials can be used has failed.
    """
    final = plan.points(choices(plan, points))
    wanted = [*plan.trials(), *final]
    if only is not None:
        wanted = next(cohort for cohort in plan.cohorts(wanted) if cohort_name(cohort) == only)
        final = wanted
    elif len({point.variant.name for point in final}) < len(plan.built):
        return FAILED
    if points.pending(wanted):
        return AGAIN
    return FAILED if any(_value(points, point, plan.sweep.metric) is None for point in final) else 0


def outstanding(plan: Plan, points: Points, wanted: Sequence[Point]) -> list[list[Point]]:
    """The cohorts still to be trained: those that were cut off as they are, then what is pending of the planned ones."""
    begun = [cohort for cohort in points.begun(wanted) if not any(points.failure(point) for point in cohort)]
    taken = {point.key for cohort in begun for point in cohort}
    pending = {point.key for point in points.pending(wanted)} - taken
    planned = ([point for point in cohort if point.key in pending] for cohort in plan.cohorts(wanted))
    return [*begun, *filter(None, planned)]


def _run_only(plan: Plan, points: Points, name: str) -> None:
    planned = {cohort_name(cohort): cohort for cohort in plan.cohorts([*plan.trials(), *plan.points(choices(plan, points))])}
    if name not in planned:
        raise ValueError(f"the sweep has no cohort {name}; cohorts: {', '.join(planned)}")
    _stage(plan, points, planned[name], retry_failed=False)


def _work_off(plan: Plan, points: Points, queue: deque[tuple[int, list[Point]]], board: Board) -> None:
    """Trains the cohorts of a queue, as many at a time as there are devices at most, each on its share of them."""
    of = len(queue)
    shares = devices.shares(devices.usable(), of)
    with signals() as caught, _logged() as logged:

        def work(share: Sequence[Device]) -> None:
            while queue and not caught:
                try:
                    number, cohort = queue.popleft()
                except IndexError:
                    return
                what = heartbeat.doing(f"cohort {number} of {of}: {title(cohort)}")
                progress = functools.partial(CohortProgress, board, len(cohort))
                with jax.default_device(share[0] if len(shares) > 1 else None), logged(points.log(cohort)), what:
                    parts = _train(plan, points, cohort, progress, board, share)
                queue.extendleft((number, part) for part in reversed(parts))

        if len(shares) == 1:
            work(shares[0])
        else:
            with concurrent.futures.ThreadPoolExecutor(len(shares)) as pool:
                for future in [pool.submit(work, share) for share in shares]:
                    future.result()
        if caught:
            raise SystemExit(128 + caught[0])


def _train(
    plan: Plan,
    points: Points,
    cohort: list[Point],
    progress: Callable[[int, int], Any],
    board: Board,
    share: Sequence[Device],
) -> list[list[Point]]:
    """Trains one cohort and takes it apart. Returns the parts to train instead, where it does not fit into memory.

    Args:
      plan, points: what it is of.
      cohort: its points.
      progress: shows how it goes.
      board: where it is shown.
      share: the devices that it trains on.
    """
    metric, run = plan.sweep.metric, points.cohort(cohort)
    tries = _Tries(run.path)
    reason = tries.begin()
    try:
        if reason is None:
            config = configs.cohort([point.config for point in cohort])
            final = cohort[0].phase == "final"
            named = tracking.Named(points.path.resolve().name, tuple(map(folder_name, cohort)))
            asked = {"test": final, "progress": progress, "expected": cohort[0].content, "named": named, "devices": share}
            loop.train(config, run.path, **asked)
            points.take_apart(cohort)
    # Asked to stop, with a checkpoint written; or not to be trained.
    except (SystemExit, InUseError, OldRunError, ChangedError):
        tries.end()
        raise
    except OSError as error:
        tries.end()
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            what = "the disk is full; make room and run the same command again; finished work is kept"
            raise TryAgainError(f"{points.path}: {what}") from None
        traceback.print_exc(file=sys.stdout)
        if passing(error):
            board.say(f"{title(cohort)}: {error}; the same command tries again")
            return []
        reason = f"OSError: {error}"
    except Exception as error:  # one point must not stop the others
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        traceback.print_exc(file=sys.stdout)
        if out_of_memory(error):
            reason = f"out of memory: {reason}"
    tries.end()
    if reason is not None:
        if len(cohort) > 1 and reason.startswith("out of memory"):
            points.set_aside(cohort)
            half = -(-len(cohort) // 2)
            board.say(f"{title(cohort)}: {reason}; now trained in two parts")
            return [cohort[:half], cohort[half:]]
        # What it has trained stays where it is: --retry_failed goes on from there.
        board.say(f"{title(cohort)}: {reason}; recorded as failed, see {points.log(cohort)}")
        points.fail(cohort, reason)
    values = [_value(points, point, metric) for point in cohort]
    for point, value in zip(cohort, values):
        board.known(point.variant.name, value)
    if reason is None:
        board.say(f"{title(cohort)}: finished; {board.left()}")
    return []


def _value(points: Points, point: Point, metric: str) -> float | None:
    run = points.run(point)
    if not run.finished:
        return None
    result = run.read_result()
    member = result["members"][0]
    scores = test_scores(result) if result["summary_split"] == "test" else member["validation"]
    return None if member["failed"] or scores is None else scores.get(metric)


class _Tries:
    """How often processes have died while they trained a cohort without getting further: kills by the system, mostly."""

    def __init__(self, path: Path):
        self._path, self._cohort = path.with_name(f"{path.name}.tries.json"), path

    def begin(self) -> str | None:
        """Counts one more try. Returns why another is useless, or None."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        reached = max((entry.name for entry in self._cohort.glob("checkpoints/step-*")), default="")
        before = json_files.read(self._path) if self._path.exists() else {"count": 0, "reached": reached}
        count = before["count"] + 1 if before["reached"] == reached else 1
        if count > _TRIES:
            return f"out of memory, probably: the process died {_TRIES} times while training this"
        json_files.write(self._path, {"count": count, "reached": reached})
        return None

    def end(self) -> None:
        """The process lives."""
        self._path.unlink(missing_ok=True)


@contextlib.contextmanager
def _logged() -> Iterator[Callable[[Path], Any]]:
    """Gives ``logged(path)``, within which what a thread prints goes to that file; the others print as before."""
    local, shown = threading.local(), sys.stdout

    class Split(io.TextIOBase):
        def write(self, text: str) -> int:
            return getattr(local, "file", shown).write(text)

        def flush(self) -> None:
            getattr(local, "file", shown).flush()

    @contextlib.contextmanager
    def logged(path: Path) -> Iterator[None]:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "a", encoding="utf-8") as local.file:
            try:
                yield
            finally:
                del local.file

    with contextlib.redirect_stdout(Split()):
        yield logged
