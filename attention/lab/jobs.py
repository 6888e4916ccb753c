"""Cohorts that are trained as jobs: started by an executor, followed by what they write, and started again when they died.

::

  runs/<sweep>/cohorts/<hash>/     the run of a cohort, with what is asked of it in planned.json
               jobs/<hash>-<n>/    of its n-th job: job.json, a beat every half minute, and ended.json, how it ended
               logs/<hash>.txt     what they printed

All that is known of a job lies in its folder or with the scheduler, under a name that follows from the sweep and the
folder: a sweep that was killed finds its jobs again. Dead is what has not said how it ended, is not known to the scheduler
or has ended there, and has not been heard of for as long as a file system may take.
"""

import json
import os
import re
import shutil
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import attention
from attention import heartbeat
from attention.files import TryAgainError, passing
from attention.lab import sweep_record
from attention.lab.board import Board
from attention.lab.executors import Executor, Job, Seen, Session
from attention.lab.plan import Point
from attention.lab.store import Points, cohort_name, folder_name
from attention.lab.tries import TRIES, Tries
from attention.runs import tracking
from attention.runs.directory import RunDirectory
from attention.training import config as configs
from attention.training import job
from attention.training.job import Ended

AGAIN, AGAIN_AFTER = 3, 10.0  # how often what is worth trying again is tried, and after how many seconds
_SETTLED = "settled"  # file in the folder of a job that is over, and from which all has followed that does
_TAIL = 2**16  # bytes of the end of a file that hold its last lines


class _End(NamedTuple):
    """What is known of a job that is over: what it said, None where it died, and what the executor says."""

    told: Ended | None
    seen: Seen | None


class Jobs:
    """The jobs of a sweep.

    Args:
      points: its directory.
      executor: what trains.
      session: of that executor.
      left: whether the sweep is to end: None while not, else whether it stops the jobs that it started.
    """

    def __init__(self, points: Points, executor: Executor, session: Session, left: Callable[[], bool | None]):
        self._points, self._executor, self._session, self._left = points, executor, session, left
        self._watch = _Watch(session, executor.every)
        self._sweep = (sweep_record.token(points.path) or "")[:8]

    def train(self, cohort: Sequence[Point], board: Board, steps: int) -> Ended:
        """Has a cohort trained, from the job it has now or a new one to the last that it needs.

        Args:
          cohort: its points.
          board: that shows how it goes.
          steps: updates in all.

        Returns:
          How that ended; "stopped" where the sweep is to end before.
        """
        run = self._points.cohort(cohort)
        tries, current, mine, again, why = Tries(run.path), self._latest(cohort), False, 0, ""
        with heartbeat.doing("starting") as doing, _Shown(board, run, len(cohort), steps, doing) as shown:
            while not run.finished:
                if current is None:
                    if (reason := tries.begin()) is not None:
                        tries.end()
                        reason = self._never_begun(cohort, why) or reason
                        return Ended("failed", f"{reason}{_last_of(self._points.log(cohort))}")
                    current, mine = self._start(cohort, tries, doing), True
                    if current is None:
                        return Ended("stopped", "")
                end = self._follow(current, mine, run, shown)
                if end is None:
                    return Ended("stopped", "")
                why = "unknown to the scheduler" if end.seen is None else end.seen.why
                told = self._verdict(end, tries, cohort)
                (current.folder / _SETTLED).touch()
                self._watch.forget(current)
                current = None
                if told is None or told.how == "finished":
                    continue
                again += told.how == "again"
                if told.how != "again" or told is not end.told or again >= AGAIN:
                    tries.end()
                    return told
                tries.forgive()
                doing.text = f"trying again after {told.reason}"
                self._rest(AGAIN_AFTER)
            shown.finished()
        tries.end()
        return Ended("finished", "")

    def _latest(self, cohort: Sequence[Point]) -> Job | None:
        """The job of a cohort that a sweep before has left; None where there is none."""
        number = max((number for number, _ in self._folders(cohort)), default=0)
        last = self._job(cohort, number)
        return last if number and not (last.folder / _SETTLED).exists() else None

    def _folders(self, cohort: Sequence[Point]) -> list[tuple[int, Path]]:
        found = (self._points.path / "jobs").glob(f"{cohort_name(cohort)}-*")
        return [(int(path.name.rpartition("-")[2]), path) for path in found if re.fullmatch(r"\w+-\d+", path.name)]

    def _job(self, cohort: Sequence[Point], number: int) -> Job:
        folder = (self._points.path / "jobs" / f"{cohort_name(cohort)}-{number}").absolute()
        enters = Path(attention.__file__).parent.parent / "attention_lab.py"
        command = (sys.executable, str(enters), "train", f"--workdir={self._points.cohort(cohort).path.absolute()}")
        name = f"attention-{self._sweep}-{folder.name}"
        return Job(name, command, {job.FOLDER: str(folder)}, folder, self._points.log(cohort).absolute())

    def _start(self, cohort: Sequence[Point], tries: Tries, doing: heartbeat.Step) -> Job | None:
        """A new job of a cohort, once the executor takes it; None where the sweep is to end before."""
        made = self._job(cohort, max((number for number, _ in self._folders(cohort)), default=0) + 1)
        self._prepare(cohort)
        made.folder.mkdir(parents=True)
        made.log.parent.mkdir(exist_ok=True)
        asked = False
        while self._left() is None:
            asked = True
            try:
                self._session.start(made)
                return made
            except TryAgainError as error:
                doing.text = f"waiting to be started: {error}"
                self._rest(max(self._executor.every, 1.0))
            except ValueError:
                shutil.rmtree(made.folder)
                tries.forgive()
                raise
        tries.forgive()
        if asked:  # it may have been taken all the same, and its answer lost
            self._session.cancel([made])
        shutil.rmtree(made.folder)
        return None

    def _prepare(self, cohort: Sequence[Point]) -> None:
        """Writes the run that the job is to train, where it has not begun."""
        run = self._points.cohort(cohort)
        if run.data.exists():
            return
        run.path.mkdir(parents=True, exist_ok=True)
        named = tracking.Named(self._points.path.resolve().name, tuple(map(folder_name, cohort)))
        job.plan(run.path, job.Planned(cohort[0].phase == "final", cohort[0].content, named))
        run.write_config(configs.to_dict(configs.cohort([point.config for point in cohort])))

    def _never_begun(self, cohort: Sequence[Point], why: str) -> str | None:
        """Why the last jobs of a cohort ended, where none has begun to train: that is no want of memory."""
        last = [folder for _, folder in sorted(self._folders(cohort))[-TRIES:]]
        if any(map(job.beat, last)):
            return None
        told = f"{TRIES} jobs ended before they began{f': {why}' if why else ''}"
        return f"{told}; is {self._points.path.absolute()} to be seen where they run?"

    def _follow(self, current: Job, mine: bool, run: RunDirectory, shown: "_Shown") -> _End | None:
        """Waits for the end of a job; None where the sweep is to end before."""
        heard, last, asked = time.monotonic(), None, False
        while True:
            seen = self._watch.seen(current)
            alive, silent = seen is not None and seen.state != "ended", ""
            try:
                said, beat, finished = job.ended(current.folder), job.beat(current.folder), run.finished
            except (TryAgainError, OSError) as error:
                if isinstance(error, OSError) and not passing(error):
                    raise
                said, beat, finished, silent = None, last, False, f"waiting for the file system: {error}"
            told = said
            if said is not None and said.how == "stopped" and alive:  # stopped by the scheduler, which starts it again
                told = None
            if said is not None and said.how == "finished" and not finished:  # not to be seen here yet
                told = None
            if told is not None:
                return _End(told, seen)
            if alive or silent or beat != last:
                heard, last = time.monotonic(), beat
            elif time.monotonic() - heard >= self._executor.patience:
                return _End(said, seen)
            if (left := self._left()) is not None:
                if left and mine and not asked:
                    self._session.cancel([current])
                    asked = True
                if self._executor.lasting or not (left and mine):
                    return None
            shown.show(seen, beat, silent)
            self._rest(self._executor.every)

    def _verdict(self, end: _End, tries: Tries, cohort: Sequence[Point]) -> Ended | None:
        """What the end of a job means for its cohort; None where another job is to go on."""
        told, seen = end
        fault = seen is None or seen.fault
        if told is not None and told.how != "stopped":
            return told
        if (seen is not None and seen.limit) or (told is not None and fault):
            late = tries.out_of_time()
            return None if late is None else Ended("again", late)
        if not fault:
            tries.forgive()
            return None
        if seen is not None and seen.code is not None and 0 < seen.code < 128:  # it ended before it could say anything
            return Ended("failed", f"{seen.why}{_last_of(self._points.log(cohort))}")
        return None

    def _rest(self, seconds: float) -> None:
        """Waits, not longer than until the sweep is to end."""
        until = time.monotonic() + seconds
        while self._left() is None and (rest := until - time.monotonic()) > 0:
            time.sleep(min(rest, 0.5))
        if self._left() is not None:
            time.sleep(0.1)


class _Watch:
    """What the executor knows of all jobs that are followed, asked once for all."""

    def __init__(self, session: Session, every: float):
        self._session, self._every, self._lock = session, every, threading.Lock()
        self._jobs: dict[str, Job] = {}
        self._seen: Mapping[str, Seen] = {}
        self._asked: set[str] = set()
        self._at = -every

    def seen(self, wanted: Job) -> Seen | None:
        """What is known of a job; where nothing can be known at the moment, what was before."""
        with self._lock:
            self._jobs[wanted.name] = wanted
            if wanted.name not in self._asked or time.monotonic() - self._at >= self._every:
                try:
                    self._seen = self._session.poll(list(self._jobs.values()))
                except TryAgainError as error:
                    unknown = Seen("waiting", f"{error}")
                    self._seen = {name: self._seen.get(name, unknown) for name in self._jobs}
                self._asked, self._at = set(self._jobs), time.monotonic()
            return self._seen.get(wanted.name)

    def forget(self, job: Job) -> None:
        """A job that is over."""
        with self._lock:
            self._jobs.pop(job.name, None)


class _Shown:
    """How a job goes, on the board."""

    def __init__(self, board: Board, run: RunDirectory, members: int, steps: int, doing: heartbeat.Step):
        self._board, self._run, self._members, self._steps, self._doing = board, run, members, steps, doing
        self._step = _step(run.metrics)
        board.spared(members, self._step)
        board.job(run.path.name, False)

    def __enter__(self) -> "_Shown":
        return self

    def __exit__(self, *_: object) -> None:
        self._board.job(self._run.path.name, None)

    def show(self, seen: Seen | None, beat: job.Beat | None, silent: str) -> None:
        """The update that it has come to, or what it waits for; ``silent``: why nothing can be known of that, if so."""
        step = _step(self._run.metrics)
        self._board.trained(self._members, step - self._step)
        self._step = step
        self._board.job(self._run.path.name, seen is not None and seen.state == "running")
        if silent:
            self._doing.text = silent
        elif seen is None or seen.state == "waiting":
            self._doing.text = f"waiting{f' ({seen.why})' if seen is not None and seen.why else ''}"
        elif seen.state == "running":
            self._doing.text = f"update {step} of {self._steps}{'' if beat is None else f' on {beat.host}'}"
        else:
            self._doing.text = f"ended ({seen.why}), which is believed once nothing more is heard of it"

    def finished(self) -> None:
        """Updates that its members stopped short of are not to be made any more."""
        step = _step(self._run.metrics)
        self._board.trained(self._members, step - self._step)
        self._board.spared(self._members, self._steps - step)


def _step(metrics: Path) -> int:
    """The update of the last line of metrics."""
    for line in reversed(_end_of(metrics)):
        try:
            return json.loads(line)["step"]
        except (ValueError, KeyError, TypeError):  # cut off
            continue
    return 0


def last_lines(log: Path, most: int = 5) -> list[str]:
    """The last lines of what a job printed."""
    lines = (line.decode(errors="replace").rstrip() for line in _end_of(log))
    return [line for line in lines if line][-most:]


def _last_of(log: Path) -> str:
    """The last line, to stand after a reason."""
    return "".join(f"; its last line: {line}" for line in last_lines(log, 1))


def _end_of(path: Path) -> list[bytes]:
    try:
        with open(path, "rb") as file:
            file.seek(max(file.seek(0, os.SEEK_END) - _TAIL, 0))
            return file.read().splitlines()
    except OSError:
        return []
