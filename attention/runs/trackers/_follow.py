"""The process that tells one tracker about runs: it reads their files, and nothing waits for it.

python -m attention.runs.trackers._follow SPEC RUN [RUN ...]

Follows what the runs write until stdin is closed, then tells the rest and how those that are finished ended. Each line on
stdout is one to be shown; what the tracker's package prints is not. Exit codes: 0; 2 where another try does not help; 75 where
it may.
"""

import contextlib
import fcntl
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO

from attention import installation, specs
from attention.files import json_hash
from attention.runs import tracking
from attention.runs.directory import RunDirectory
from attention.runs.trackers import Session, Tracker

_EVERY = 1.0  # seconds between looks at the files
_AGAIN = 30.0  # seconds between tries of a tracker that fails
_LINGER = 600.0  # seconds after stdin is closed in which it has to be done
_LOCKED = 30.0  # seconds in which another process that tells the same has to be done
_NICE = 10  # training goes first


class _Feed:
    """The members of one run in one tracker; ``sessions`` are those opened so far."""

    def __init__(self, run: RunDirectory):
        self._run, self.members = run, tracking.members(run)
        self._rows = tracking.Rows(run, len(self.members))
        self.sessions: list[Session] = []

    @property
    def place(self) -> str:
        """Where they are to be seen."""
        more = len(self.sessions) - 1
        return f"{self.sessions[0].place}{f' and {more} more' if more else ''}"

    def catch_up(self) -> None:
        """Tells what has been settled since it was last asked."""
        for session, rows in zip(self.sessions, self._rows.new()):
            if wanted := [row for row in rows if row.step > session.reached]:
                session.add(wanted)

    def close(self) -> None:
        """Tells how a finished run ended."""
        finished = self._run.finished
        if finished:
            for session, ending in zip(self.sessions, tracking.endings(self._run)):
                session.end(ending)
        for session in self.sessions:
            session.close(finished)


@contextlib.contextmanager
def _feeding(run: RunDirectory, tracker: Tracker) -> Iterator[_Feed]:
    """Opens a session for each member, and closes what is open where something fails."""
    assert tracker.open is not None
    feed = _Feed(run)
    try:
        for member in feed.members:
            feed.sessions.append(tracker.open(member))
        yield feed
    except BaseException:
        for session in feed.sessions:
            with contextlib.suppress(Exception):
                session.close(False)
        raise


def follow(run: RunDirectory, tracker: Tracker, closed: threading.Event, say: Callable[[str], None]) -> bool:
    """Tells a tracker about a run until ``closed`` and all is told; tries again what fails. Returns whether all is told.

    Raises:
      ValueError: for what another try does not help.
    """
    failed = placed = False
    with _alone(run, tracker):
        while True:
            last = closed.is_set()
            try:
                with _feeding(run, tracker) as feed:
                    while True:
                        last = closed.is_set()
                        feed.catch_up()
                        if last:
                            feed.close()
                        if not placed or failed:
                            say(f"tracker {specs.parse(tracker.spec).name}: {feed.place}")
                            placed, failed = True, False
                        if last:
                            return True
                        closed.wait(_EVERY)
            except (ValueError, ImportError):
                raise
            except Exception as error:  # of whatever kind: it is another's code
                if not failed:
                    say(tracking.not_told(tracker.spec, run, _reason(error)))
                failed = True
            if last:
                return False
            closed.wait(_AGAIN)


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    return str(error) or type(error).__name__


@contextlib.contextmanager
def _alone(run: RunDirectory, tracker: Tracker) -> Iterator[None]:
    """Within it, no other process tells the same tracker about the run. A folder that cannot be written has no lock."""
    try:
        lock: IO[str] = open(run.path / f".lock-{json_hash(tracker.spec)[:8]}", "w", encoding="utf-8")  # noqa: SIM115
    except OSError:
        yield
        return
    with lock:
        end = time.monotonic() + _LOCKED
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                if time.monotonic() > end:
                    raise ValueError("another process tells it of this run") from None
                time.sleep(0.2)
        yield


def _voice() -> Callable[[str], None]:
    """Says a line on stdout, where nothing else is written from now on."""
    voice = open(os.dup(1), "w", encoding="utf-8", buffering=1)  # noqa: SIM115 (as long as the process)
    with open(os.devnull, "w", encoding="utf-8") as nothing:
        for stream in (1, 2):
            os.dup2(nothing.fileno(), stream)

    def say(line: str) -> None:
        with contextlib.suppress(OSError):  # whoever listened has gone
            voice.write(f"{line}\n")

    return say


def _until_closed(closed: threading.Event) -> None:
    """Notes that stdin is closed, as it is when the process that trains has ended; then there is so much time and no more."""
    while os.read(0, 1024):
        pass
    closed.set()
    time.sleep(_LINGER)
    os._exit(75)


def tell(spec: str, runs: Sequence[RunDirectory], closed: threading.Event, say: Callable[[str], None]) -> int:
    """Tells a tracker of runs, one after another; returns the exit code."""
    tracker, codes = specs.build("tracker", spec), [0]
    for run in runs:
        try:
            installation.require(*tracker.packages)
            codes.append(0 if follow(run, tracker, closed, say) else 75)
        except (ValueError, ImportError) as error:
            say(tracking.not_told(spec, run, str(error)))
            codes.append(2)
    return max(codes)


def main(arguments: Sequence[str]) -> int:
    """Follows; returns the exit code."""
    spec, *folders = arguments
    say, closed = _voice(), threading.Event()
    threading.Thread(target=_until_closed, args=(closed,), daemon=True).start()
    os.nice(_NICE)
    return tell(spec, [RunDirectory(Path(folder)) for folder in folders], closed, say)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
