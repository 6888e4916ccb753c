"""What a sweep shows while it runs: a live table on a terminal, plain lines elsewhere."""

import contextlib
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from attention import heartbeat
from attention.lab.plan import Point
from attention.lab.report.numbers import Metric
from attention.messages import duration
from attention.training.progress import Progress

_ENOUGH = 0.1  # of the updates, before which compiling is too much of the time to tell what is left
_FEW = 4  # jobs that have a line each in a log; more are counted
_COUNTED, _APART = 60.0, 1.0  # seconds after which counts are said again, where they are the same, and where they are others


class Board:
    """Progress, time left and the scores so far.

    Args:
      variants: their names, in order.
      members: of each variant, in all.
      metric: that variants are compared by.
      updates: still to be made, members times steps.
    """

    def __init__(self, variants: Sequence[str], members: int, *, metric: Metric, updates: int):
        self._variants, self._members, self._metric = variants, members, metric
        self._values: dict[str, list[float]] = {name: [] for name in variants}
        self._failed = dict.fromkeys(variants, 0)
        self._updates, self._done, self._start = updates, 0.0, time.monotonic()
        self._jobs: dict[str, bool] = {}  # those that are followed: whether they run
        self._told = "", -_COUNTED  # the counts said last, and when
        self._lock = threading.Lock()
        self._console = Console(file=sys.stdout, markup=False, highlight=False)  # a name is text, whatever it holds
        self._live: Live | None = None
        self._open = contextlib.ExitStack()

    def __enter__(self) -> "Board":
        table = self._console.is_terminal
        self._open.enter_context(heartbeat.said_by(None if table else self._beat))  # the table has it
        if table:
            self._live = Live(
                get_renderable=self._drawn,
                console=self._console,
                refresh_per_second=2,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._open.enter_context(self._live)
        return self

    def __exit__(self, *raised: Any) -> None:
        self._open.close()

    def say(self, line: str) -> None:
        """A line that stays."""
        with self._lock:
            self._console.print(line, soft_wrap=True)
        heartbeat.heard()

    def _beat(self, line: str) -> None:
        """Says what is under way: a line of it, or of many jobs, which have one each, their counts where these are news."""
        counts, since = self._counts(), time.monotonic() - self._told[1]
        if len(self._jobs) <= _FEW:
            self.say(f"{line}; {self.left()}")
        elif since >= (_COUNTED if counts == self._told[0] else _APART):
            self._told = counts, time.monotonic()
            self.say(f"{counts} ({duration(time.monotonic() - self._start)}); {self.left()}")

    def job(self, name: str, runs: bool | None) -> None:
        """A job runs, or waits to; None where it is over."""
        with self._lock:
            if runs is None:
                self._jobs.pop(name, None)
            else:
                self._jobs[name] = runs

    def _counts(self) -> str:
        """How many jobs run and wait, and how many members are done."""
        with self._lock:
            running, jobs = sum(self._jobs.values()), len(self._jobs)
            done = sum(map(len, self._values.values())) + sum(self._failed.values())
        return f"jobs: {running} run, {jobs - running} wait; members: {done} of {self._members * len(self._variants)} done"

    def known(self, name: str, value: float | None) -> None:
        """The metric of a member of a variant, None where it failed."""
        with self._lock:
            if value is None:
                self._failed[name] += 1
            else:
                self._values[name].append(value)

    def trained(self, members: int, steps: int) -> None:
        """``steps`` updates of ``members`` members have been made."""
        with self._lock:
            self._done += members * steps

    def spared(self, members: int, steps: int) -> None:
        """``steps`` updates of ``members`` members need not be made: they were made before, or the members stopped early."""
        with self._lock:
            self._updates -= members * steps

    def left(self) -> str:
        """The time left, estimated from the updates made and those to come."""
        spent = time.monotonic() - self._start
        if self._done < _ENOUGH * self._updates or not self._done:
            return "time left unknown"
        return f"about {duration(spent * max(self._updates - self._done, 0) / self._done)} left"

    def standing(self) -> Table:
        """The mean score of each variant so far."""
        table = Table(box=None, pad_edge=False, header_style="bold")
        for head in ("variant", "members", self._metric.title, "failed"):
            table.add_column(head, justify="left" if head == "variant" else "right")
        for name in self._variants:
            values, failed = self._values[name], self._failed[name]
            mean = self._metric.value(sum(values) / len(values)) if values else ""
            table.add_row(name, f"{len(values) + failed} / {self._members}", mean, str(failed or ""))
        return table

    def _drawn(self) -> Group:
        lines = (Text(line) for line in heartbeat.under_way())  # names are no markup
        counts = [self._counts()] if len(self._jobs) > _FEW else []
        return Group(self.standing(), "; ".join([*counts, self.left()]), *lines)  # of many lines, the last ones find no room

    def show_standing(self) -> None:
        """Prints the scores so far, where no live table shows them."""
        if self._live is None:
            self._console.print(self.standing())


class CohortProgress(Progress):
    """A run's progress, as a line of the board.

    Args:
      board: the board.
      members: of the cohort.
      steps, start: as ``Progress``.
    """

    def __init__(self, board: Board, members: int, steps: int, start: int):
        super().__init__(steps, start, live=False)
        self._board, self._members = board, members
        board.spared(members, start)

    def advance(self, step: int, left: float | None = None) -> None:
        """As ``Progress``, but for the time left, which the board says of the sweep."""
        self._board.trained(self._members, step - self._step)
        super().advance(step)
        self._doing.text += "".join(f", {name} {value}" for name, value in self._shown.items())

    def close(self) -> None:
        """As ``Progress``; updates that members stopped short of are not counted as still to be made."""
        super().close()
        self._board.spared(self._members, self.steps - self._step)

    def _heard(self) -> None:
        """Its lines are in the log of the cohort."""


def title(points: Sequence[Point]) -> str:
    """``rope, 10 members``, or the number of variants and the first three."""
    names = list(dict.fromkeys(point.variant.name for point in points))
    listed = "; ".join([*names[:3], *(["..."] if len(names) > 3 else [])])
    what = names[0] if len(names) == 1 else f"{len(names)} variants ({listed})"
    count = "1 member" if len(points) == 1 else f"{len(points)} members"
    return f"{what}, {count}{' of the search' if points[0].phase == 'search' else ''}"
