"""What surrounds the updates of a run: a clock, signals, and the profiler."""

import contextlib
import ctypes
import mmap
import os
import platform
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax

LESS_MEMORY = (
    "what takes less: --config.training.accumulation=4 (a divisor of batch_size), a smaller batch_size, max_length or"
    " model, fewer seeds at once"
)
PROFILED = (3, 8)  # updates of this process that --profile records: the first ones compile


def keep_freed_memory() -> None:
    """Makes glibc keep the memory that is freed; elsewhere nothing changes.

    XLA on a CPU allocates the temporary arrays of each update anew. glibc gives such large blocks back to the system
    at once, and the next update pays for every page again, up to half of its time. Acts on the whole process.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    # M_ARENA_MAX: one heap, which may grow without bound; M_MMAP_MAX: no blocks outside of it; M_TRIM_THRESHOLD.
    for option, value in ((-8, 1), (-4, 0), (-1, 2**31 - 1)):
        ctypes.CDLL(None).mallopt(option, value)


_FIELDS = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost"  # of glibc's mallinfo2


class _Mallinfo(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in _FIELDS.split()]


def set_gaps_aside() -> None:
    """Takes gaps of 64 KiB and more between blocks of glibc's heap out of use, and gives their memory back.

    A compiler leaves tens of thousands of gaps, and on a CPU an update whose arrays lie there takes up to a tenth longer than
    one whose arrays lie behind them. With another libc, or on an accelerator, nothing changes.
    """
    if platform.libc_ver()[0] != "glibc" or jax.default_backend() != "cpu":
        return
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "mallinfo2"):
        return
    libc.mallinfo2.restype, libc.sbrk.restype, libc.malloc.restype = _Mallinfo, ctypes.c_size_t, ctypes.c_size_t
    libc.malloc.argtypes, libc.free.argtypes = [ctypes.c_size_t], [ctypes.c_size_t]
    libc.madvise.argtypes = [ctypes.c_size_t, ctypes.c_size_t, ctypes.c_int]
    for size in (2**20, 2**18, 2**16):
        end = libc.sbrk(0) - libc.mallinfo2().keepcost  # of the last block in use
        while (block := libc.malloc(size)) and block < end:  # never freed
            page = -(-block // mmap.PAGESIZE) * mmap.PAGESIZE
            libc.madvise(page, (block + size - page) // mmap.PAGESIZE * mmap.PAGESIZE, mmap.MADV_DONTNEED)
        libc.free(block)


def check_alone() -> None:
    """Raises ValueError where Slurm has started this process as one of several: they would train the same run."""
    tasks = os.environ.get("SLURM_NTASKS", "")
    if tasks.isdecimal() and int(tasks) > 1:
        raise ValueError(
            f"SLURM_NTASKS={tasks}: one process per run, which takes all devices of its machine; give srun or sbatch --ntasks=1"
        )


_GPUS = ("SLURM_JOB_GPUS", "SLURM_STEP_GPUS", "CUDA_VISIBLE_DEVICES")  # of Slurm, of Ray and of NVIDIA


def unused_gpus() -> tuple[str, ...]:
    """A note where this process was given GPUs and JAX computes on the CPU without having been told to; else nothing."""
    if jax.default_backend() != "cpu" or "cpu" in (jax.config.values["jax_platforms"] or ""):
        return ()
    given = [f"{name}={os.environ[name]}" for name in _GPUS if os.environ.get(name, "") not in ("", "-1", "NoDevFiles")]
    remedy = f"pip install 'jax[cuda12]=={jax.__version__}', or JAX_PLATFORMS=cpu where that is wanted"
    return tuple(f"{what}, and JAX computes on the CPU: {remedy}" for what in given[:1])


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory is wanting, of this machine or of its accelerator."""
    return isinstance(error, MemoryError) or any(sign in str(error) for sign in ("RESOURCE_EXHAUSTED", "Out of memory"))


class Spent(NamedTuple):
    """Seconds of the clock, and of all processors in this process."""

    seconds: float = 0.0
    processor: float = 0.0

    def less(self, other: "Spent") -> "Spent":
        """Without some of it."""
        return Spent(self.seconds - other.seconds, self.processor - other.processor)

    def more(self, other: "Spent") -> "Spent":
        """With some more."""
        return Spent(self.seconds + other.seconds, self.processor + other.processor)


class Clock:
    """A stopwatch."""

    def __init__(self):
        self._before = Spent(time.monotonic(), time.process_time())

    def spent(self) -> Spent:
        """The time since it was last asked, or made."""
        now = Spent(time.monotonic(), time.process_time())
        spent, self._before = now.less(self._before), now
        return spent


class Trace:
    """Records the updates ``PROFILED`` with JAX's profiler, into a folder; nothing where that is None."""

    def __init__(self, folder: Path | None):
        self._folder, self._updates = folder, 0

    def before(self) -> None:
        """An update is about to be dispatched."""
        if self._folder is not None and self._updates == PROFILED[0]:
            jax.profiler.start_trace(self._folder)

    def after(self, tick: Any) -> None:
        """It has been dispatched; ``tick``, an array or a tree of them, is ready when it is done."""
        self._updates += 1
        if self._folder is not None and self._updates == PROFILED[1]:
            jax.block_until_ready(tick)
            self.close()

    def close(self) -> None:
        """Writes what was recorded."""
        if self._folder is not None and self._updates > PROFILED[0]:
            jax.profiler.stop_trace()
            print(f"profile of {self._updates - PROFILED[0]} updates in {self._folder}")
        self._folder = None


_TOGETHER = 1.0  # seconds within which signals are one
_listening: list[list[int]] = []  # of the ``signals`` under way, at most one


@contextlib.contextmanager
def signals() -> Iterator[list[int]]:
    """The list that the first SIGINT or SIGTERM is noted in; a second one acts as without us. Within another, it is that list.

    Within a second they are one: a parent that dies has one sent for each of its threads, and schedulers tell all processes,
    of which some pass it on.
    """
    if _listening:
        yield _listening[0]
        return
    caught: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield caught  # only the main thread may listen
        return
    _listening.append(caught)
    before: dict[int, Any] = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    since = 0.0

    def note(number: int, _: Any) -> None:
        nonlocal since
        if not caught:
            caught.append(number)
            since = time.monotonic()
            print("\nstopping after this update ...", file=sys.stderr, flush=True)
        elif time.monotonic() - since >= _TOGETHER:
            signal.signal(number, before[number])
            signal.raise_signal(number)

    for number in before:
        signal.signal(number, note)
    try:
        yield caught
    finally:
        _listening.clear()
        for number, handler in before.items():
            signal.signal(number, handler)
