"""For one process at a time: a lock of the kernel's, or a lease where the file system has none.

The kernel lets go of its lock when the process ends, however it ends. A lease is a file that its holder renews; one that
has not been renewed for ``STALE`` seconds belongs to nobody any more, and neither does that of a process which this machine
had and has not. Its age is told by the clock of the file system, which is one for all machines.
"""

import errno
import fcntl
import os
import socket
import threading
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from attention.files import TryAgainError, parse_json, regular

RENEWED, STALE = 30.0, 120.0  # seconds
_NO_LOCKS = {getattr(errno, name, None) for name in ("ENOLCK", "ENOSYS", "ENOTSUP", "EOPNOTSUPP")}


class InUseError(TryAgainError):
    """A folder that another process writes."""


class Lock(NamedTuple):
    """What this process, and no other, holds until it is closed or the process ends."""

    close: Callable[[], None]

    def __enter__(self) -> "Lock":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def take(path: Path) -> Lock:
    """Takes the lock of a file, which is made where missing and stays.

    Raises:
      InUseError: where another process, or another part of this one, has it.
      OSError: where the file cannot be written or locked.
    """
    file = open(regular(path), "w", encoding="utf-8")  # noqa: SIM115 (held as long as the lock)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise InUseError(f"{path.parent} is in use by another process") from None
    except OSError as error:
        file.close()
        if error.errno not in _NO_LOCKS:
            raise
        return _lease(path.with_name(f"{path.name}.lease"))
    return Lock(file.close)


def _lease(path: Path) -> Lock:
    """The lease of that name, renewed by a thread. Raises InUseError where another has it."""
    mine = f'{{"host": "{socket.gethostname()}", "process": {os.getpid()}, "token": "{uuid.uuid4().hex}"}}'
    while not _made(path, mine):
        _give_up_stale(path)
    ended = threading.Event()

    def renew() -> None:
        while not ended.wait(RENEWED):
            try:
                if path.read_text(encoding="utf-8") != mine:  # this process was stopped for so long that another has it
                    return
                os.utime(path)
            except OSError:
                continue  # a file server that does not answer may do so the next time

    def close() -> None:
        ended.set()
        try:
            if path.read_text(encoding="utf-8") == mine:
                path.unlink()
        except OSError:
            pass

    threading.Thread(target=renew, name="lease", daemon=True).start()
    return Lock(close)


def _made(path: Path, content: str) -> bool:
    """Makes a file that was not there; False where it was."""
    try:
        with open(path, "x", encoding="utf-8") as file:
            file.write(content)
    except FileExistsError:
        return False
    return True


def _give_up_stale(path: Path) -> None:
    """Removes a lease that nobody holds any more. Raises InUseError where somebody does."""
    probe = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
    try:
        probe.touch()
        now, found = probe.stat().st_mtime, path.stat()
        gone = _ended(path)
    except FileNotFoundError:  # given back just now
        return
    finally:
        probe.unlink(missing_ok=True)
    if now - found.st_mtime < STALE and not gone:
        raise InUseError(f"{path.parent} is in use by another process")
    try:
        os.rename(path, probe)
    except FileNotFoundError:
        return
    moved = probe.stat()
    if (moved.st_ino, moved.st_mtime_ns) != (found.st_ino, found.st_mtime_ns):  # another was faster, and its lease is a new one
        os.rename(probe, path)
        raise InUseError(f"{path.parent} is in use by another process")
    probe.unlink()


def _ended(path: Path) -> bool:
    """Whether a lease is of a process of this machine that there is no more."""
    try:
        held = parse_json(path.read_text(encoding="utf-8"))
        if held["host"] != socket.gethostname():
            return False
        os.kill(held["process"], 0)
    except ProcessLookupError:
        return True
    except (ValueError, KeyError, TypeError, PermissionError):  # half written, or of another user
        return False
    return False
