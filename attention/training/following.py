"""Trackers beside a run: a process for each, which reads the run's files. None of them can stop a run, or slow it."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import attention
from attention import specs
from attention.messages import listed, plain, quoted
from attention.runs import trackers, tracking
from attention.runs.directory import RunDirectory

_WAIT = 60.0  # seconds that a finished run waits for its trackers, at most
_HASTE = 10.0  # the same for one that is cut off
_late: set[str] = set()  # specs of those that were waited for in vain: they are not again


@contextlib.contextmanager
def following(spec: str, run: RunDirectory) -> Iterator["Followers"]:
    """Trackers that follow a run as long as this lasts, and a while longer until they have told all."""
    followers, seconds = Followers(spec, [run]), _HASTE
    try:
        yield followers
        seconds = _WAIT
    finally:
        followers.finish(seconds)
        for line in followers.news():
            print(f"note: {line}", flush=True)


def catch_up(spec: str, folder: str | os.PathLike[str]) -> int:
    """Tells trackers of a run, or of the members of a sweep, as far as they have come; prints what they say.

    Returns:
      The exit code: 0; 2 where another try does not help; 75 where it may.

    Raises:
      ValueError: for a bad spec, or a folder that holds neither.
    """
    wanted = tracking.runs(RunDirectory(folder))
    if not trackers.each(spec):
        raise ValueError(f"--track wants a tracker, got {quoted(spec)}; there are: {listed(specs.names('tracker'))}")
    followers = Followers(spec, wanted)
    code = followers.finish(None)
    for line in followers.news():
        print(line)
    return code


class Followers:
    """The processes of some trackers that follow some runs.

    Args:
      spec: of the trackers.
      runs: that they follow, one after another.
    """

    def __init__(self, spec: str, runs: Sequence[RunDirectory]):
        self._unsaid: list[str] = []
        self._cut: dict[str, bytes] = {}  # of each, the line that it has begun
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        for tracker in trackers.each(spec):
            try:
                self._processes[tracker.spec] = _start(tracker.spec, runs)
            except OSError as error:
                self._unsaid.append(f"tracker {tracker.spec}: {error.strerror}")

    def news(self) -> list[str]:
        """The lines that they have said since it was last asked."""
        said, self._unsaid = self._unsaid, []
        for spec, process in self._processes.items():
            assert process.stdout is not None
            *lines, cut = (self._cut.get(spec, b"") + (process.stdout.read() or b"")).split(b"\n")
            self._cut[spec] = cut
            said += [plain(line.decode(errors="replace")) for line in lines]
        return said

    def finish(self, seconds: float | None) -> int:
        """Waits until they have told all there is, and ends what takes longer.

        Args:
          seconds: to wait at most; None for as long as it takes.

        Returns:
          The largest exit code, 75 for one that was ended.
        """
        for process in self._processes.values():
            assert process.stdin is not None
            process.stdin.close()
        end = None if seconds is None else time.monotonic() + seconds
        codes = [self._wait(spec, process, end) for spec, process in self._processes.items()]
        return max(codes, default=0)

    def _wait(self, spec: str, process: "subprocess.Popen[bytes]", end: float | None) -> int:
        left = None if end is None else max((1.0 if spec in _late else end - time.monotonic()), 0.0)
        try:
            code = process.wait(left)
        except subprocess.TimeoutExpired:
            _late.add(spec)
            self._unsaid += [*self.news(), f"tracker {spec}: not done in time; eval.py --track shows the rest later"]
            code = 75
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self._unsaid += self.news()
        return code


def _start(spec: str, runs: Sequence[RunDirectory]) -> "subprocess.Popen[bytes]":
    """A process in a session of its own: no terminal to ask anything on, and no signals meant for the run."""
    home = str(Path(attention.__file__).parent.parent)
    path = os.pathsep.join(filter(None, (home, os.environ.get("PYTHONPATH"))))
    process = subprocess.Popen(
        [sys.executable, "-m", "attention.runs.trackers._follow", spec, *(str(run.path) for run in runs)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": path, "JAX_PLATFORMS": "cpu"},
        start_new_session=True,
        bufsize=0,
    )
    assert process.stdout is not None
    os.set_blocking(process.stdout.fileno(), False)
    return process
