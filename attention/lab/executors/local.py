"""This machine: one process over its devices, or several processes, each on cores of its own.

``local`` trains in the process of the sweep: cohort after cohort, or one on each device. ``local(processes=2)`` starts a
process for each cohort, two at a time, and gives each a share of the cores that this one may use, so that none waits for
another; where the system cannot bind a process to cores, they share all, with as many threads each. That is for CPUs: on a
machine with accelerators one process goes over all of them.

A process goes on where the sweep is killed, and the next one finds it. Rows are those of a run on as many cores, bit by
bit; with other numbers of cores a CPU adds up in another order.
"""

import contextlib
import functools
import itertools
import os
import signal
import subprocess
import threading
from collections.abc import Collection, Iterator
from pathlib import Path

import jax

from attention.lab.executors import Executor, Job, Seen, Session, at_least
from attention.runs.environment import system_text

__all__: list[str] = []

_PROCESS = "process"  # file with the number of a job's process, and when it began
_ENDING = 10.0  # seconds that a process takes to end at most, after it has said how
_WHOLE = "one process goes over all devices, --executor=local"


def build(*, processes: int = 1) -> Executor:
    """This machine.

    Args:
      processes: that train at once, one cohort each; 1 trains in the process of the sweep.
    """
    at_least("processes", processes, 1)
    if processes == 1:
        return Executor()
    return Executor(open=functools.partial(_open, processes), concurrent=processes, lasting=False)


def _open(processes: int) -> Session:
    if (backend := jax.default_backend()) != "cpu":
        raise ValueError(
            f"processes={processes} shares out the cores of a CPU, and this machine computes on {backend}: {_WHOLE}"
        )
    shares, lock = _shares(processes), threading.Lock()
    started: dict[str, tuple[subprocess.Popen[bytes], int]] = {}  # by name, with the number of its share
    joined: dict[str, int] = {}  # shares of processes that an earlier sweep has started

    def start(job: Job) -> None:
        with lock:
            taken = {share for process, share in started.values() if process.poll() is None} | set(joined.values())
            share = next(number for number in itertools.count() if number not in taken)
            with open(job.log, "ab") as log, _bound(shares[share % processes]):
                process = subprocess.Popen(
                    job.command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env={**os.environ, **_one_task(), **job.environment},
                    start_new_session=True,  # an interrupt from the keyboard is for the sweep, which stops what it started
                )
            started[job.name] = process, share
            (job.folder / _PROCESS).write_text(f"{process.pid} {share} {_began(process.pid)}", encoding="utf-8")

    def poll(jobs: Collection[Job]) -> dict[str, Seen]:
        found = {}
        with lock:
            for job in jobs:
                if job.name in started:
                    code = started[job.name][0].poll()
                    found[job.name] = Seen("running") if code is None else Seen("ended", _ending(code), code=code)
                elif (share := _alive(job.folder / _PROCESS)) is not None:
                    found[job.name], joined[job.name] = Seen("running"), share
                else:
                    joined.pop(job.name, None)
        return found

    def cancel(jobs: Collection[Job]) -> None:
        with lock:
            for job in jobs:
                if job.name in started and started[job.name][0].poll() is None:
                    started[job.name][0].send_signal(signal.SIGTERM)

    def close() -> None:
        for process, _ in started.values():
            with contextlib.suppress(subprocess.TimeoutExpired):  # one that is to go on
                process.wait(_ENDING)

    return Session(start, poll, cancel, close)


def _shares(processes: int) -> list[list[int]]:
    """The cores of each process; none where the system cannot bind it to them."""
    if not hasattr(os, "sched_getaffinity"):
        return [[]] * processes
    cores = sorted(os.sched_getaffinity(0))
    if processes > len(cores):
        raise ValueError(f"processes={processes} is more than the {len(cores)} cores that this process may use")
    return [cores[number * len(cores) // processes : (number + 1) * len(cores) // processes] for number in range(processes)]


@contextlib.contextmanager
def _bound(cores: list[int]) -> Iterator[None]:
    """Binds this thread to cores, and so the process that it starts."""
    if not (cores and hasattr(os, "sched_getaffinity") and hasattr(os, "sched_setaffinity")):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _one_task() -> dict[str, str]:
    """Of a sweep that is itself a job of Slurm's with several tasks, each process trains a run of its own."""
    return {name: "1" for name in ("SLURM_NTASKS", "SLURM_NPROCS") if name in os.environ}


def _ending(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    return f"killed by {signal.Signals(-code).name}" if -code in signal.valid_signals() else f"killed by signal {-code}"


def _alive(path: Path) -> int | None:
    """The share of a process that an earlier sweep started; None where that one is no more, whoever has its number now."""
    try:
        number, share, began = path.read_text(encoding="utf-8").split(" ")
        os.kill(int(number), 0)
    except (OSError, ValueError):
        return None
    return int(share) if _began(int(number)) == began else None


def _began(process: int) -> str:
    """When a process began, in the system's own count; an empty string where it does not say so, or the process has ended."""
    fields = system_text(f"/proc/{process}/stat").rpartition(")")[2].split()
    return fields[19] if fields and fields[0] != "Z" else ""
