"""Work on very many texts in processes of its own, one for each core: what is done with a part of them depends on it alone."""

import contextlib
import importlib
import json
import os
import queue
import signal
import struct
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import IO, Any, NamedTuple

import numpy as np

from attention import heartbeat
from attention.data import texts
from attention.data.texts import FileTexts, parted
from attention.files import TryAgainError

_AT_ONCE = 2**20  # bytes of texts that a process gets
_SIZE = struct.Struct("<q")
_CHILD = "import sys; sys.path[:] = {path!r}; from attention.data.workers import serve; serve()"

Work = Callable[[int, list[str]], tuple[Mapping[str, Any], Sequence[np.ndarray]]]


class Done(NamedTuple):
    """What was made of some texts.

    Attributes:
      first: the number of the first of them.
      texts: how many they are.
      by: the number of the process.
      told: what JSON can hold.
      arrays: and arrays.
    """

    first: int
    texts: int
    by: int
    told: Mapping[str, Any]
    arrays: list[np.ndarray]


def count() -> int:
    """How many processes there are: one for each core that this one may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def each(texts: FileTexts, what: str, work: str, options: Mapping[str, Any]) -> Iterator[Done]:
    """What is made of all texts, in their order.

    Args:
      texts: in files.
      what: is done with them, for those who wait.
      work: ``module:name`` of a function that makes a ``Work`` of ``options``, once in each process. It is given the number of
        the first of some texts and these, and returns what JSON can hold, and arrays.
      options: what JSON can hold.

    Raises:
      ValueError: what the work raises.
      TryAgainError: where a process is killed.
    """
    with kept(), heartbeat.doing(what) as step:
        for done in _in_order(texts, json.dumps([work, options]).encode()):
            yield done
            step.share = (done.first + done.texts) / len(texts)


def _in_order(texts: FileTexts, setup: bytes) -> Iterator[Done]:
    if count() == 1:
        do = _made(setup)
        for first, last in texts.chunks(_AT_ONCE):
            told, arrays = do(first, texts.read(texts.spans[first:last]))
            yield Done(first, last - first, 0, told, [*arrays])
        return
    processes = [_taken() for _ in range(count())]
    free: queue.SimpleQueue[int] = queue.SimpleQueue()
    for number, process in enumerate(processes):
        process.send([setup])
        free.put(number)

    def ask(first: int, last: int) -> Done:
        number = free.get()
        data, spans = texts.bytes(first, last)
        told, *arrays = processes[number].ask([_SIZE.pack(first), spans.astype("<i8").tobytes(), data])
        free.put(number)
        said = json.loads(told)
        found = [np.frombuffer(array, dtype) for array, dtype in zip(arrays, said["dtypes"])]
        return Done(first, last - first, number, said["told"], found)

    waiting: deque[Future[Done]] = deque()
    threads = ThreadPoolExecutor(len(processes), "texts")
    try:
        for part in texts.chunks(_AT_ONCE):
            waiting.append(threads.submit(ask, *part))
            if len(waiting) > 2 * len(processes):
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
        _idle.extend(processes)
    except BaseException:
        for process in processes:
            process.stop()
        for number in range(len(processes)):  # threads that wait for one
            free.put(number)
        raise
    finally:
        threads.shutdown(cancel_futures=True)


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Processes started within it never hear what a terminal or a scheduler tells all of them: who started them ends them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Process:
    """A process that does one work after the other."""

    def __init__(self):
        path = [entry for entry in sys.path if isinstance(entry, str)]  # others, as of pathlib, are passed over by imports
        command = [sys.executable, "-c", _CHILD.format(path=path)]
        with _undisturbed():
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._to, self._of = self._process.stdin, self._process.stdout

    def send(self, parts: Sequence[bytes]) -> None:
        """Gives it something to do."""
        try:
            _write(self._to, parts)
        except (OSError, ValueError):
            raise self._lost() from None

    def ask(self, parts: Sequence[bytes]) -> list[bytes]:
        """Gives it something to do, and waits for what it says. Raises ValueError where that is an error."""
        self.send(parts)
        try:
            state, *answer = _read(self._of) or [b"lost"]
        except (OSError, ValueError):
            raise self._lost() from None
        if state == b"lost":
            raise self._lost()
        if state == b"error":
            raise ValueError(answer[0].decode())
        if state != b"done":
            raise RuntimeError(f"a process that reads texts failed:\n{answer[0].decode()}")
        return answer

    def _lost(self) -> TryAgainError:
        code = self._process.wait()
        how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
        return TryAgainError(f"a process that reads texts {how}; where memory ran out, fewer cores or shorter files take less")

    def stop(self) -> None:
        """Ends it."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._to, self._of):
            with contextlib.suppress(OSError):  # of what was not sent any more
                pipe.close()


_idle: list[_Process] = []
_lock = threading.Lock()
_keeping = [0]


@contextlib.contextmanager
def kept() -> Iterator[None]:
    """Within it processes wait for more work, and at its end they are ended."""
    with _lock:
        _keeping[0] += 1
    try:
        yield
    finally:
        with _lock:
            _keeping[0] -= 1
            if not _keeping[0]:
                while _idle:
                    _idle.pop().stop()


def expect(size: int) -> None:
    """Starts the processes, where texts of so many bytes are work for them."""
    with _lock:
        while _keeping[0] and size > texts.HELD and count() > 1 and len(_idle) < count():
            _idle.append(_Process())


def _taken() -> _Process:
    with _lock:
        return _idle.pop() if _idle else _Process()


def _made(setup: bytes) -> Work:
    """The work that a message describes."""
    work, options = json.loads(setup)
    module, name = work.split(":")
    return getattr(importlib.import_module(module), name)(**options)


def serve() -> None:
    """What a process does: it reads what is to be done, does it, and writes what came of it, until nothing more comes."""
    import traceback

    read, write = sys.stdin.buffer, os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what is printed is no message
    do: Work | None = None
    while (parts := _read(read)) is not None:
        try:
            if len(parts) == 1:
                do = _made(parts[0])
                continue
            assert do is not None
            first, spans, data = parts
            texts = parted(data, np.frombuffer(spans, "<i8").reshape(-1, 2))
            told, arrays = do(_SIZE.unpack(first)[0], texts)
            said = json.dumps({"told": told, "dtypes": [array.dtype.str for array in arrays]}).encode()
            answer = [b"done", said, *(array.tobytes() for array in arrays)]
        except ValueError as error:
            answer = [b"error", str(error).encode("utf-8", "backslashreplace")]
        except Exception:  # a fault of the work: who asked for it raises it, with where it arose
            answer = [b"failed", traceback.format_exc().encode("utf-8", "backslashreplace")]
        try:
            _write(write, answer)
        except BrokenPipeError:  # who asked was killed
            os._exit(1)


def _write(pipe: IO[bytes], parts: Sequence[bytes]) -> None:
    pipe.write(b"".join([_SIZE.pack(len(parts)), *(_SIZE.pack(len(part)) for part in parts)]))
    for part in parts:
        pipe.write(part)
    pipe.flush()


def _read(pipe: IO[bytes]) -> list[bytes] | None:
    """The parts of a message; None at the end."""
    begin = pipe.read(_SIZE.size)
    if len(begin) < _SIZE.size:
        return None
    sizes = [_SIZE.unpack(_whole(pipe, _SIZE.size))[0] for _ in range(_SIZE.unpack(begin)[0])]
    return [_whole(pipe, size) for size in sizes]


def _whole(pipe: IO[bytes], size: int) -> bytes:
    data = pipe.read(size)
    if len(data) < size:
        raise ValueError("a message that was cut off")
    return data
