"""Standard streams that stop no command: closed ones, a pipe whose reader has gone, an encoding that lacks signs."""

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from typing import TextIO


class _Unheard(io.FileIO):
    """Takes what is written when nobody reads it any more, as after ``train.py | head``."""

    def write(self, data, /) -> int | None:
        """Writes, or does as if."""
        try:
            return super().write(data)
        except BrokenPipeError:
            return memoryview(data).nbytes


@contextlib.contextmanager
def lasting() -> Iterator[None]:
    """Within it, stdout and stderr can be written whatever becomes of them; signs that they cannot hold become escapes."""
    for number in (0, 1, 2):
        _occupy(number)
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = _lasting(sys.stdout, sys.__stdout__), _lasting(sys.stderr, sys.__stderr__)
    try:
        yield
    finally:
        here = sys.stdout, sys.stderr
        sys.stdout, sys.stderr = before
        for stream in here:
            stream.flush()


def _occupy(number: int) -> None:
    """Opens a closed standard stream on nothing: the next file would have its number, and take what is printed to it."""
    try:
        os.fstat(number)
    except OSError:
        null = os.open(os.devnull, os.O_RDWR)
        if null != number:
            os.dup2(null, number)
            os.close(null)


def _lasting(stream: TextIO | None, own: TextIO | None) -> TextIO:
    if stream is None:
        return open(os.devnull, "w", encoding="utf-8")
    if stream is not own or not isinstance(stream, io.TextIOWrapper):
        return stream  # somebody else's: of a notebook, of a test
    stream.flush()
    raw = _Unheard(stream.fileno(), "wb", closefd=False)
    buffer = raw if stream.write_through else io.BufferedWriter(raw)
    how = {"line_buffering": stream.line_buffering, "write_through": stream.write_through}
    return io.TextIOWrapper(buffer, encoding=stream.encoding, errors="backslashreplace", **how)  # pyright: ignore[reportArgumentType]
