"""Trains the points of a plan, cohort after cohort, so that a kill at any instant loses no finished work.

A cohort that does not fit into memory is halved until it does. A point that cannot be trained at all is recorded with its
reason, and the others go on. Cohorts run one after another, or, where there are several local devices, each on its share of
them, on one where as many cohorts wait as there are devices; or as jobs of an executor.
"""

import concurrent.futures
import contextlib
import errno
import functools
import os
import signal
import sys
import traceback
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path

import jax

from attention import heartbeat
from attention.files import TryAgainError, passing
from attention.lab import printed, sweep_record
from attention.lab.board import Board, CohortProgress, title
from attention.lab.executors import Executor
from attention.lab.jobs import Jobs, last_lines
from attention.lab.plan import BEYOND, Plan, Point
from attention.lab.report.numbers import Metric
from attention.lab.store import Points, choices, cohort_name, folder_name, test_scores
from attention.lab.tries import Tries
from attention.runs import locks, tracking
from attention.runs.identity import ChangedError
from attention.runs.locks import InUseError
from attention.runs.opening import OldRunError
from attention.training import config as configs
from attention.training import loop
from attention.training.cohort import devices
from attention.training.cohort.devices import Device
from attention.training.command_line import AGAIN, FAILED
from attention.training.job import reason_of
from attention.training.process import signals


@contextlib.contextmanager
def opened(workdir: str | os.PathLike[str], plan: Plan, *, part: bool = False) -> Iterator[Points]:
    """The directory of a sweep, made where missing; locked, so that one process at a time runs it all.

    Args:
      workdir: the folder.
      plan: whose directory it is.
      part: for a process that trains one cohort, beside others and beside the sweep; the cohort has a lock of its own.

    Raises:
      ValueError: where the folder belongs to another sweep, listing what differs, is no sweep, cannot be written, or is in
        use.
    """
    path = Path(workdir)
    if path.exists() and (not path.is_dir() or (any(path.iterdir()) and not _is_sweep(path))):
        raise ValueError(f"{path} exists and is not the directory of a sweep; give another --workdir")
    try:
        path.mkdir(parents=True, exist_ok=True)
        lock = contextlib.nullcontext() if part else locks.take(path / ".lock")
    except InUseError as error:
        raise InUseError(f"{error}; wait for it or give another --workdir") from None
    except OSError as error:
        raise ValueError(f"{path} cannot be written ({error.strerror})") from None
    with lock:
        sweep_record.enter(path, plan)
        yield Points(path)


def _is_sweep(path: Path) -> bool:
    # A process killed before its record was written leaves a lock and a temporary file.
    return (path / "sweep.json").exists() or all(entry.name.startswith(".") for entry in path.iterdir())


def run(
    plan: Plan, points: Points, *, retry_failed: bool = False, only: str | None = None, executor: Executor | None = None
) -> None:
    """Trains what is not finished: first the trials of a search, then the members with the values it chose.

    Args:
      plan: the plan.
      points: its directory, from ``opened``.
      retry_failed: whether points recorded as failed are tried again.
      only: name of the one cohort to train, as ``--export=shell`` lists them.
      executor: what trains; this process where None.

    Raises:
      ValueError: for an unknown ``only``, for a full disk, for what the executor lacks or refuses, and for cohorts that another
        process trains, once all others are.
      SystemExit: after SIGINT or SIGTERM, once checkpoints are written.
    """
    executor = executor or Executor()
    if only is not None:
        _stage(plan, points, _named(plan, points, only), executor, retry_failed=False)
        return
    trials = plan.trials()
    if trials:
        _stage(plan, points, trials, executor, retry_failed=retry_failed)
        if points.pending(trials):
            raise TryAgainError(f"{points.path}: trials of the search are still to be trained; the same command tries again")
    _stage(plan, points, plan.points(choices(plan, points)), executor, retry_failed=retry_failed)


def _stage(plan: Plan, points: Points, wanted: Sequence[Point], executor: Executor, *, retry_failed: bool) -> None:
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
        _work_off(plan, points, deque(enumerate(cohorts, 1)), board, executor)
        board.show_standing()
    _say_failures(points, cohorts)
    points.clear(wanted)


def _say_failures(points: Points, cohorts: Sequence[Sequence[Point]]) -> None:
    """Prints why cohorts failed, each with the last lines that it printed."""
    for cohort in cohorts:
        if (reason := next(filter(None, map(points.failure, cohort)), None)) is not None:
            print("\n".join([f"failed: {title(cohort)}: {reason}", *(f"  {line}" for line in last_lines(points.log(cohort)))]))


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


def _named(plan: Plan, points: Points, name: str) -> list[Point]:
    """The points of a cohort."""
    planned = {cohort_name(cohort): cohort for cohort in plan.cohorts([*plan.trials(), *plan.points(choices(plan, points))])}
    if name not in planned:
        raise ValueError(f"the sweep has no cohort {name}; cohorts: {', '.join(planned)}")
    return planned[name]


def _work_off(plan: Plan, points: Points, queue: deque[tuple[int, list[Point]]], board: Board, executor: Executor) -> None:
    """Trains the cohorts of a queue, each on its share of the local devices or as a job."""
    of, busy, broken = len(queue), list[InUseError](), list[bool]()
    with contextlib.ExitStack() as stack:
        session = None if executor.open is None or not queue else stack.enter_context(executor.open())
        caught, logged = stack.enter_context(signals()), stack.enter_context(printed.by_thread())

        def left() -> bool | None:
            """Whether jobs are to be stopped, where the sweep is to end."""
            return (caught[0] == signal.SIGINT or not executor.lasting) if caught else False if broken else None

        jobs = None if session is None else Jobs(points, executor, session, left)
        shares = devices.shares(devices.usable(), of) if jobs is None else [()] * min(executor.concurrent, of)

        def work(share: Sequence[Device]) -> None:
            while queue and left() is None:
                try:
                    number, cohort = queue.popleft()
                except IndexError:
                    return
                what = heartbeat.doing(f"cohort {number} of {of}: {title(cohort)}")
                try:
                    with jax.default_device(share[0] if len(shares) > 1 and share else None), logged(points.log(cohort)), what:
                        parts = _alone(plan, points, cohort, board, jobs, share)
                except InUseError as error:
                    busy.append(error)
                    continue
                except BaseException:
                    broken.append(True)
                    raise
                queue.extendleft((number, part) for part in reversed(parts))

        if len(shares) == 1:
            work(shares[0])
        elif shares:
            with concurrent.futures.ThreadPoolExecutor(len(shares)) as pool:
                for future in [pool.submit(work, share) for share in shares]:
                    future.result()
        if caught:
            raise SystemExit(128 + caught[0])
    if busy:
        raise busy[0]


def _alone(
    plan: Plan, points: Points, cohort: list[Point], board: Board, jobs: Jobs | None, share: Sequence[Device]
) -> list[list[Point]]:
    """Trains one cohort, unless another process does (InUseError) or has done so. Returns the parts to train instead.

    Args:
      plan, points: what it is of.
      cohort: its points.
      board: where it is shown how it goes.
      jobs: where it is trained; None for here.
      share: the devices that it trains on here.
    """
    with locks.take(points.path / f".lock-{cohort_name(cohort)}"):
        if points.pending(cohort):
            if jobs is None:
                return _train(plan, points, cohort, board, share)
            return _train_as_job(jobs, plan, points, cohort, board)
    for point in cohort:
        board.known(point.variant.name, _value(points, point, plan.sweep.metric))
    return []


def _train_as_job(jobs: Jobs, plan: Plan, points: Points, cohort: list[Point], board: Board) -> list[list[Point]]:
    """Has one cohort trained and takes it apart. Returns the parts to train instead, where it does not fit into memory."""
    steps = next(built.steps for built in plan.built if built.variant.name == cohort[0].variant.name)
    end = jobs.train(cohort, board, steps)
    if end.how == "refused":
        raise ValueError(end.reason)
    if end.how == "again":
        board.say(f"{title(cohort)}: {end.reason}; the same command tries again")
    if end.how in ("again", "stopped"):
        return []
    if end.how == "finished":
        points.take_apart(cohort)
    return _settled(plan, points, cohort, board, end.reason or None)


def _train(plan: Plan, points: Points, cohort: list[Point], board: Board, share: Sequence[Device]) -> list[list[Point]]:
    """Trains one cohort on devices and takes it apart. Returns the parts to train instead, where memory does not do."""
    run = points.cohort(cohort)
    tries = Tries(run.path)
    progress = functools.partial(CohortProgress, board, len(cohort))
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
        reason = reason_of(error)
        traceback.print_exc(file=sys.stdout)
    tries.end()
    return _settled(plan, points, cohort, board, reason)


def _settled(plan: Plan, points: Points, cohort: list[Point], board: Board, reason: str | None) -> list[list[Point]]:
    """What follows of a cohort that has been trained, or could not be for a reason: the parts to train instead."""
    if reason is not None:
        if len(cohort) > 1 and reason.startswith("out of memory"):
            points.set_aside(cohort)
            half = -(-len(cohort) // 2)
            board.say(f"{title(cohort)}: {reason}; now trained in two parts")
            return [cohort[:half], cohort[half:]]
        # What it has trained stays where it is: --retry_failed goes on from there.
        board.say(f"{title(cohort)}: {reason}; recorded as failed, see {points.log(cohort)}")
        points.fail(cohort, reason)
    values = [_value(points, point, plan.sweep.metric) for point in cohort]
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
