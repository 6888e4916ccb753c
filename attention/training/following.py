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
from attention.runs.tracking import not_told

_WAIT = 30.0  # seconds that a finished run waits for its trackers, at most
_HASTE = 10.0  # the same for one that is cut off
_LOOK = 0.2  # seconds between looks at processes that are waited for
COMMAND = (sys.executable, "-m", "attention.runs.trackers._follow")
_late: set[str] = set()  # specs of those that were waited for in vain: they are not again
_missed: dict[str, str] = {}  # by spec, what was said last of a tracker that has not been told all


@contextlib.contextmanager
def following(spec: str, run: RunDirectory) -> Iterator["Followers"]:
    """Trackers that follow a run as long as this lasts, and a while longer until they have told all."""
    followers, seconds = Followers(spec, [run]), _HASTE
    try:
        yield followers
        seconds = _WAIT
    finally:
        for line in followers.finish(seconds)[1]:
            print(f"note: {line}", flush=True)


def missed() -> list[str]:
    """What was said of each tracker that has not been told all by this process, for whoever did not read it."""
    found = [line for line in _missed.values() if line]
    _missed.clear()
    return found


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
    followers, seconds = Followers(spec, wanted), 0.0
    followers.close()
    try:
        while followers.busy:
            for line in followers.news():
                print(line, flush=True)
            time.sleep(_LOOK)
        seconds = None
    finally:
        code, lines = followers.finish(seconds)
    for line in lines:
        print(line)
    return code


class Followers:
    """The processes of some trackers that follow some runs.

    Args:
      spec: of the trackers.
      runs: that they follow, one after another.
    """

    def __init__(self, spec: str, runs: Sequence[RunDirectory]):
        self._each, self._unsaid = list[_Follower](), list[str]()
        for tracker in trackers.each(spec):
            try:
                self._each.append(_Follower(tracker.spec, runs))
            except OSError as error:  # no more processes, or no memory for one
                self._unsaid.append(not_told(tracker.spec, runs[0], str(error)))

    @property
    def busy(self) -> bool:
        """Whether one of them has more to do."""
        return any(follower.busy for follower in self._each)

    def news(self) -> list[str]:
        """The lines that they have said since it was last asked."""
        unsaid, self._unsaid = self._unsaid, []
        return [*unsaid, *(line for follower in self._each for line in follower.news())]

    def close(self) -> None:
        """Tells them that the runs go no further."""
        for follower in self._each:
            follower.close()

    def finish(self, seconds: float | None) -> tuple[int, list[str]]:
        """Waits until they have told all there is, and ends what takes longer.

        Args:
          seconds: to wait at most; None for as long as it takes.

        Returns:
          The largest exit code, 75 for one that was ended, and the lines that they have said.
        """
        self.close()
        end = None if seconds is None else time.monotonic() + seconds
        ended = [(75, [line]) for line in self._unsaid] + [follower.wait(end) for follower in self._each]
        return max((code for code, _ in ended), default=0), [line for _, lines in ended for line in lines]


class _Follower:
    """The process of one tracker, in a session of its own: no terminal to ask anything on, and no signals meant for the run."""

    def __init__(self, spec: str, runs: Sequence[RunDirectory]):
        home = str(Path(attention.__file__).parent.parent)
        path = os.pathsep.join(filter(None, (home, os.environ.get("PYTHONPATH"))))
        self._spec, self._runs = spec, runs
        self._cut, self._last = b"", ""  # the line that it has begun, and the one before
        self._process = subprocess.Popen(
            [*COMMAND, spec, *(str(run.path) for run in runs)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": path, "JAX_PLATFORMS": "cpu"},
            start_new_session=True,
            bufsize=0,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._input, self._output = self._process.stdin, self._process.stdout
        os.set_blocking(self._output.fileno(), False)

    def news(self) -> list[str]:
        """The lines that it has said since it was last asked."""
        *lines, self._cut = (self._cut + (self._output.read() or b"")).split(b"\n")
        said = [plain(line.decode(errors="replace")) for line in lines]
        self._last = [self._last, *said][-1]
        return said

    @property
    def busy(self) -> bool:
        """Whether it has more to do."""
        return self._process.poll() is None

    def close(self) -> None:
        """Tells it that the run goes no further."""
        self._input.close()

    def wait(self, end: float | None) -> tuple[int, list[str]]:
        """Its exit code and last lines. Where it has none at ``end``, it and what it has started are ended."""
        left = None if end is None else max((1.0 if self._spec in _late else end - time.monotonic()), 0.0)
        late = []
        try:
            code = self._process.wait(left)
        except BaseException as error:
            os.killpg(self._process.pid, signal.SIGKILL)  # whose number is its own until it is waited for
            self._process.wait()
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
            _late.add(self._spec)
            code, late = 75, [not_told(self._spec, self._runs[0], "it is not done in time")]
        with self._output:
            lines = self.news()
        if code not in (0, 2, 75):
            code, late = 75, [not_told(self._spec, self._runs[0], f"its process ended with {code}")]
        if code:
            _missed[self._spec] = (late or [self._last])[-1]
        return code, [*lines, *late]
