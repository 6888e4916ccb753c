"""A run that a sweep has trained by a process of its own: what is asked of it, and what the process says of itself.

The sweep writes ``planned.json`` beside the run's config. The process, which the environment variable ``ATTENTION_JOB``
tells a folder to report in, writes ``job.json`` there, again and again while it lives, and ``ended.json`` when it ends: one
that was killed has none.
"""

import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

from attention.files import TryAgainError, passing
from attention.runs import environment, json_files
from attention.runs.identity import ChangedError, Content
from attention.runs.locks import InUseError
from attention.runs.opening import OldRunError
from attention.runs.tracking import Named
from attention.training.process import out_of_memory

FOLDER, ID = "ATTENTION_JOB", "ATTENTION_JOB_ID"  # variables: where to report, and what the scheduler calls the process
BEAT = 30.0  # seconds
How = Literal["finished", "stopped", "again", "refused", "failed"]


class Planned(NamedTuple):
    """What a sweep asks of a run beside its config: as the arguments of ``loop.train``."""

    test: bool
    expected: Content
    named: Named


class Beat(NamedTuple):
    """The last that a process said of itself: its id, its machine, when it began and when it said so, in UTC."""

    id: str
    host: str
    started: str
    beat: str


class Ended(NamedTuple):
    """How a process ended by itself.

    Attributes:
      how: "finished"; "stopped" by a signal, with a checkpoint written; worth trying "again" as it is; "refused" because
      the run
        is of other data or of an older version; or "failed".
      reason: in one line, of the latter three.
    """

    how: How
    reason: str


def plan(folder: Path, planned: Planned) -> None:
    """Writes what is asked of the run in a folder."""
    named = {"group": planned.named.group, "names": planned.named.names}
    json_files.write(folder / "planned.json", {"test": planned.test, "content": planned.expected._asdict(), "named": named})


def planned(folder: Path) -> Planned | None:
    """What a sweep asks of the run in a folder; None where none does."""
    if not (folder / "planned.json").exists():
        return None
    stored = json_files.read(folder / "planned.json")
    content, named = stored["content"], stored["named"]
    expected = Content(content["splits"], tuple(content["classes"]), content["start"])
    return Planned(stored["test"], expected, Named(named["group"], tuple(named["names"])))


def asked(folder: Path) -> dict[str, Any]:
    """The arguments of ``loop.train`` that a sweep asks for; none where none does."""
    found = planned(folder)
    return {} if found is None else found._asdict()


def beat(folder: Path) -> Beat | None:
    """What the process that reports in a folder said last; None where it has not begun."""
    path = folder / "job.json"
    return Beat(**json_files.read(path)) if path.exists() else None


def ended(folder: Path) -> Ended | None:
    """How the process that reports in a folder ended; None where it has not, or was killed."""
    path = folder / "ended.json"
    return Ended(**json_files.read(path)) if path.exists() else None


def reason_of(error: BaseException) -> str:
    """An error in a line, which begins with "out of memory" where it is that."""
    reason = (f"{type(error).__name__}: {error}".splitlines() or [""])[0]
    return f"out of memory: {reason}" if out_of_memory(error) else reason


@contextlib.contextmanager
def reporting() -> Iterator[None]:
    """Within it, the process says that it lives, and in the end how it ended, where it was told a folder for that."""
    if not os.environ.get(FOLDER):
        yield
        return
    folder, over = Path(os.environ[FOLDER]), threading.Event()
    (folder / "ended.json").unlink(missing_ok=True)  # of the same job, stopped and started again by the scheduler
    told = Beat(os.environ.get(ID) or str(os.getpid()), socket.gethostname(), environment.now(), environment.now())

    def report() -> None:
        while True:
            with contextlib.suppress(OSError):  # a file server that does not answer may do so the next time
                json_files.write(folder / "job.json", told._replace(beat=environment.now())._asdict())
            if over.wait(BEAT):
                return

    thread = threading.Thread(target=report, name="job", daemon=True)
    thread.start()
    end = Ended("finished", "")
    try:
        yield
    except BaseException as error:
        end = _ended(error)
        raise
    finally:
        over.set()
        thread.join()
        json_files.write(folder / "ended.json", end._asdict())


def _ended(error: BaseException) -> Ended:
    if isinstance(error, (SystemExit, KeyboardInterrupt)):
        return Ended("stopped", "")
    if isinstance(error, (OldRunError, ChangedError)):
        return Ended("refused", str(error))
    again = isinstance(error, (InUseError, TryAgainError)) or (isinstance(error, OSError) and passing(error))
    return Ended("again" if again else "failed", reason_of(error))
