"""What is under way, how far it is and how long it still takes: one redrawn line on a terminal, a line now and then elsewhere.

Whoever does something that may take long says so with ``doing``, and there how much of it is done; setting that costs nothing::

  with heartbeat.doing("reading texts") as step:
      for number, text in enumerate(texts):
          step.share = number / len(texts)

``watching`` shows it for as long as it takes. A log has the first line after a second of silence, and from then on one whenever
nothing else has been said for ``EVERY`` seconds.
"""

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

from attention.messages import duration

FIRST, EVERY = 1.0, 8.0  # seconds without a line; EVERY is such that there is one every ten on a busy machine too
_TOLD = 1.0  # seconds after which the time that something has taken says how long the rest will take
_DRAWN = 4  # times a second
_BAR = 16  # signs

_Item = TypeVar("_Item")


class Step:
    """Something under way, written by who does it.

    Attributes:
      text: what it is.
      share: how much of it is done, from 0 to 1; None where that is not known.
      since: when it began, on the clock ``time.monotonic``.
    """

    def __init__(self, text: str):
        self.text, self.since = text, time.monotonic()
        self.share: float | None = None
        self._end: float | None = None

    @property
    def left(self) -> float | None:
        """The seconds that it still takes, which go by once they are set; not set, they follow from ``share`` and ``since``.

        None where they are not known, or over: it takes longer than was thought, nobody knows how much.
        """
        now = time.monotonic()
        share, taken, seconds = self.share, now - self.since, 0.0  # the share may be written at any time
        if self._end is not None:
            seconds = self._end - now
        elif share and taken >= _TOLD:
            seconds = taken * (1.0 - share) / share
        return seconds if seconds > 0 else None

    @left.setter
    def left(self, seconds: float | None) -> None:
        self._end = None if seconds is None else time.monotonic() + seconds

    def __str__(self) -> str:
        return self.text if self.share is None else f"{self.text}, {100 * min(max(self.share, 0.0), 1.0):.0f} %"


class _Thread(NamedTuple):
    """What a thread does: its steps, the outermost first."""

    steps: list[Step]

    def line(self) -> str:
        """What, how far, for how long the innermost step does, and the time left."""
        left = "" if self.left is None else f", about {duration(self.left)} left"
        return f"{': '.join(map(str, self.steps))} ({self.taken:.0f} s{left})"

    @property
    def taken(self) -> float:
        """The seconds since the innermost step began."""
        return time.monotonic() - self.steps[-1].since

    @property
    def left(self) -> float | None:
        """The seconds left of the outermost step that can tell: that is what somebody waits for."""
        return next((left for step in self.steps if (left := step.left) is not None), None)

    @property
    def share(self) -> float | None:
        """How much of the outermost step that can tell is done."""
        return next((share for step in self.steps if (share := step.share) is not None), None)

    def cells(self) -> list[str]:
        """What, and the time left, or that it has taken."""
        return [": ".join(step.text for step in self.steps), self._time()]

    def _time(self) -> str:
        return f"{self.taken:.0f} s" if self.left is None else f"{duration(self.left)} left"


_lock = threading.Lock()
_steps: dict[int, list[Step]] = {}  # of each thread, the outermost first
_heard = [0.0]  # when something was said last
_says: list[Callable[[str], None] | None] = []  # who says it, the innermost last; None where it is shown in another way
_drawing: list[Any] = []  # the redrawn line, where a terminal has one


@contextlib.contextmanager
def doing(text: str) -> Iterator[Step]:
    """Within it, this thread does what ``text`` says, within what it does already; the step is what to write progress to."""
    step, thread = Step(text), threading.get_ident()
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
            step.text, step.share = f"{what} {number} of {len(items)}", (number - 1) / len(items)
            yield item


def under_way() -> list[str]:
    """A line for each thread that does something: what, how far, for how long the innermost step does, and the time left."""
    return [thread.line() for thread in _threads()]


def _threads() -> list[_Thread]:
    with _lock:
        return [_Thread([*steps]) for steps in _steps.values()]


def heard() -> None:
    """Something has been said: the next line has time."""
    _heard[0] = time.monotonic()


def drawn() -> bool:
    """Whether a line on the terminal shows what is under way now, so that whoever does it need not print it."""
    return bool(_drawing) and _says[-1] is None


@contextlib.contextmanager
def watching() -> Iterator[None]:
    """Shows what is under way; within another, it adds nothing."""
    if _says:
        yield
        return
    with _redrawn() if _terminal() else _printed():
        yield


@contextlib.contextmanager
def said_by(say: Callable[[str], None] | None) -> Iterator[None]:
    """Within it, ``say`` says what is under way, on a terminal too; None where something shows ``under_way`` itself."""
    paused = _drawing.pop() if _drawing else None
    if paused is not None:
        paused.stop()
    _says.append(say)
    try:
        yield
    finally:
        _says.pop()
        if paused is not None:
            paused.start()
            _drawing.append(paused)


@contextlib.contextmanager
def _printed() -> Iterator[None]:
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


def _watch(stop: threading.Event) -> None:
    """Says what is under way until it is stopped; an error in it is printed as that of any thread is."""
    patience = min(FIRST, EVERY)  # grows to EVERY: a short run is told of soon, a long one not too often
    while not stop.wait(max(_heard[0] + patience - time.monotonic(), 0.01)):
        if time.monotonic() < _heard[0] + patience:
            continue
        heard()
        lines = under_way()
        if lines:
            patience = min(2 * patience, EVERY)
        if (say := _says[-1]) is not None:
            for line in lines:
                say(line)


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")  # in one piece: others may print at the same time
    sys.stdout.flush()


def _terminal() -> bool:
    """Whether stdout is a terminal on which a line can be drawn anew."""
    if not sys.stdout.isatty():
        return False
    from rich.console import Console  # where there is none, nothing of it is needed

    console = Console(file=sys.stdout)
    return console.is_terminal and not console.is_dumb_terminal


@contextlib.contextmanager
def _redrawn() -> Iterator[None]:
    """Draws what is under way below what is printed, and leaves nothing of it behind."""
    from rich.console import Console
    from rich.live import Live
    from rich.progress_bar import ProgressBar
    from rich.table import Column, Table

    def table() -> Table:
        cells = [Column(width=_BAR, no_wrap=True), Column(ratio=1, no_wrap=True, overflow="ellipsis"), Column(no_wrap=True)]
        threads = _threads()
        bars = any(thread.share is not None for thread in threads)
        rows = Table.grid(*cells[not bars :], padding=(0, 1), expand=True)
        for thread in threads:
            bar = ProgressBar(total=1.0, completed=thread.share or 0.0, width=_BAR)
            rows.add_row(*([bar] if bars else []), *thread.cells())
        return rows

    live = Live(
        get_renderable=table,
        console=Console(file=sys.stdout, markup=False, highlight=False),
        refresh_per_second=_DRAWN,
        transient=True,
        redirect_stderr=sys.stderr.isatty(),  # one that goes to a file stays there
    )
    with said_by(None):
        _drawing.append(live)
        live.start()
        try:
            yield
        finally:
            live.stop()
            _drawing.clear()
