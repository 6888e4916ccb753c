"""What is under way, said at least every ten seconds where nothing else is: in a terminal, a log file, a notebook.

Whoever does something that may take long says so with ``doing``; ``watching`` says it again and again for as long as it takes.
"""

import contextlib
import dataclasses
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

EVERY = 8.0  # seconds without a line, so that there is one every ten on a busy machine too

_Item = TypeVar("_Item")


@dataclasses.dataclass
class Step:
    """Something under way: what it is, which may be changed, and when it began."""

    text: str
    since: float


_lock = threading.Lock()
_steps: dict[int, list[Step]] = {}  # of each thread, the outermost first
_heard = [0.0]  # when something was said last
_says: list[Callable[[str], None] | None] = []  # who says it, the innermost last; None for a live table, which shows it


@contextlib.contextmanager
def doing(text: str) -> Iterator[Step]:
    """Within it, this thread does what ``text`` says, within what it does already."""
    step, thread = Step(text, time.monotonic()), threading.get_ident()
    with _lock:
        _steps.setdefault(thread, []).append(step)
    try:
        yield step
    finally:
        with _lock:
            _steps[thread].remove(step)
            if not _steps[thread]:
                del _steps[thread]


def each(what: str, items: Sequence[_Item]) -> Iterator[_Item]:
    """The items, with ``what 3 of 200`` said of the third."""
    with doing(what) as step:
        for number, item in enumerate(items, 1):
            step.text = f"{what} {number} of {len(items)}"
            yield item


def under_way() -> list[str]:
    """A line for each thread that does something: what, and for how long the innermost of it has taken."""
    with _lock:
        stacks = [[(step.text, step.since) for step in steps] for steps in _steps.values()]
    now = time.monotonic()
    return [f"{': '.join(text for text, _ in steps)} ({now - steps[-1][1]:.0f} s)" for steps in stacks]


def heard() -> None:
    """Something has been said: the next line has time."""
    _heard[0] = time.monotonic()


@contextlib.contextmanager
def watching() -> Iterator[None]:
    """What is under way is printed where nothing has been said for ``EVERY`` seconds; another one adds nothing."""
    if _says:
        yield
        return
    heard()
    stop = threading.Event()
    thread = threading.Thread(target=_watch, args=(stop,), name="heartbeat", daemon=True)
    with said_by(_print):
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


@contextlib.contextmanager
def said_by(say: Callable[[str], None] | None) -> Iterator[None]:
    """Within it, ``say`` says what is under way; None where something shows ``under_way`` itself."""
    _says.append(say)
    try:
        yield
    finally:
        _says.pop()


def _watch(stop: threading.Event) -> None:
    """Says what is under way until it is stopped; an error in it is printed as that of any thread is."""
    while not stop.wait(max(_heard[0] + EVERY - time.monotonic(), 0.01)):
        if time.monotonic() < _heard[0] + EVERY:
            continue
        heard()
        if (say := _says[-1]) is not None:
            for line in under_way():
                say(line)


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")  # in one piece: others may print at the same time
    sys.stdout.flush()
