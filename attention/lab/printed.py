"""What threads print, each into a file of its own."""

import contextlib
import io
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any


@contextlib.contextmanager
def by_thread() -> Iterator[Callable[[Path], Any]]:
    """Gives ``logged(path)``, within which what a thread prints goes to that file; the others print as before."""
    local, shown = threading.local(), sys.stdout

    class Split(io.TextIOBase):
        def write(self, text: str) -> int:
            return getattr(local, "file", shown).write(text)

        def flush(self) -> None:
            getattr(local, "file", shown).flush()

    @contextlib.contextmanager
    def logged(path: Path) -> Iterator[None]:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "a", encoding="utf-8", buffering=1) as local.file:  # by line: a kill loses none
            try:
                yield
            finally:
                del local.file

    with contextlib.redirect_stdout(Split()):
        yield logged
