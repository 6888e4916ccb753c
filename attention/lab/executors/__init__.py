"""What trains the cohorts of a sweep, a file per executor: it starts commands and says what became of them."""

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from attention.specs import by_spec


class Job(NamedTuple):
    """A command to be run once, in the folder that the sweep was started in.

    Attributes:
      name: its own, by which it is found again: letters, digits and hyphens.
      command: program and arguments.
      environment: variables that it is given beside those of this process.
      folder: its own, of what is kept of it: absolute.
      log: the file to which what it prints is added.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    folder: Path
    log: Path


class Seen(NamedTuple):
    """What is known of a job.

    Attributes:
      state: "waiting" to be started, "running", or "ended", however that came.
      why: it waits or how it ended, in the words of who knows.
      fault: whether an end may be the job's own doing: preemption, a cancelled job and a lost machine are not.
      limit: whether it ended because its time was over.
      code: the exit code that it ended with; None where that is not known.
    """

    state: Literal["waiting", "running", "ended"]
    why: str = ""
    fault: bool = True
    limit: bool = False
    code: int | None = None


class Session(NamedTuple):
    """An executor at work. All may be called by several threads.

    Attributes:
      start: starts a job, or has it wait until it can be. Raises TryAgainError where that may go better later, as with a full
        queue, and ValueError where it will not.
      poll: what is known of jobs, whichever process started them, by name; those that are not there are not known. Raises
        TryAgainError where nothing can be known at the moment.
      cancel: asks jobs to stop, with time to write a checkpoint.
      close: gives up what it holds; jobs stay as they are.
    """

    start: Callable[[Job], None]
    poll: Callable[[Collection[Job]], Mapping[str, Seen]]
    cancel: Callable[[Collection[Job]], None]
    close: Callable[[], None]

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Executor(NamedTuple):
    """What trains cohorts.

    Attributes:
      open: begins a session; None for one under which the sweep trains them itself, in its own process. Raises ValueError where
        what it needs is not there.
      concurrent: jobs that are started or wait to be at once.
      every: seconds between two looks at the jobs.
      patience: seconds that a job which has ended, or is not known, may take until what it wrote last is seen here.
      lasting: whether jobs go on where the sweep is told to end (SIGTERM); an interrupt stops them all the same.
    """

    open: Callable[[], Session] | None = None
    concurrent: int = 1
    every: float = 0.2
    patience: float = 0.0
    lasting: bool = True
    spec: str = ""

    kind = "executor"

    def __reduce__(self) -> Any:
        return by_spec(self)


PATIENCE = 120.0  # seconds that a shared file system may take, and four beats of a job


def at_least(name: str, value: float, least: float) -> None:
    """Raises ValueError for a number that is too small."""
    if value < least:
        raise ValueError(f"{name} wants {least:g} or more, got {value:g}")
