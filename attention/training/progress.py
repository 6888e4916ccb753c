"""What a run shows while it trains: one live line on a terminal or in a notebook, plain lines elsewhere."""

import contextlib
import math
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from rich import progress
from rich.console import Console
from rich.table import Column

from attention import heartbeat


class Progress:
    """Shows step, loss, score on validation, examples/s and the time left.

    Args:
      steps: updates in all.
      start: updates done before.
      live: whether to redraw one line; by default where stdout is a terminal or a notebook's.
    """

    def __init__(self, steps: int, start: int, live: bool | None = None):
        self.steps = steps
        self._shown: dict[str, str] = {}
        self._open = contextlib.ExitStack()
        self._doing = self._open.enter_context(heartbeat.doing(f"update {start} of {steps}"))
        self._bar = _bar() if (sys.stdout.isatty() if live is None else live) else None
        self._line = _line_of_notebook() if live is None else None
        if self._bar is not None:
            self._task = self._bar.add_task("", total=steps, completed=start, shown="")
            self._bar.start()

    def advance(self, step: int) -> None:
        """An update has been dispatched."""
        self._doing.text = f"update {step} of {self.steps}"
        if self._bar is not None:
            self._bar.update(self._task, completed=step)
            heartbeat.heard()

    def trained(self, step: int, losses: Sequence[float | None], rate: float) -> None:
        """The losses of the members since the last call, None for one that has stopped, and examples per second."""
        loss = _mean(losses)
        self._shown["loss"] = "-" if loss is None else f"{loss:.4f}"
        self._shown["examples/s"] = f"{rate:.0f}"
        self._show(step, ("loss", "examples/s"))

    def validated(self, step: int, scores: Sequence[float | None], *, share: bool) -> None:
        """The scores of the members on validation, None for one that has stopped, and whether they are shares."""
        score = _mean(scores)
        self._shown["validation"] = "-" if score is None else f"{100 * score:.2f}%" if share else f"{score:.4f}"
        self._show(step, ("validation",))

    def say(self, line: str) -> None:
        """A line that stays."""
        if self._bar is not None:
            self._bar.console.print(line, soft_wrap=True)
        else:
            print(line, flush=True)
        self._heard()

    def close(self) -> None:
        """Leaves the live line as it is."""
        self._open.close()
        if self._bar is not None:
            self._bar.stop()

    def _show(self, step: int, changed: Sequence[str]) -> None:
        if self._bar is not None:
            self._bar.update(self._task, shown=self._values(self._shown))
        elif self._line is not None:
            self._line.update({"text/plain": f"step {step}/{self.steps}  {self._values(self._shown)}"}, raw=True)
        else:
            print(f"step {step}/{self.steps}  {self._values(changed)}", flush=True)
        self._heard()

    def _heard(self) -> None:
        """Somebody has seen a line."""
        heartbeat.heard()

    def _values(self, names: Iterable[str]) -> str:
        return "  ".join(f"{name} {self._shown[name]}" for name in names)


def _bar() -> progress.Progress:
    """A bar that takes the room that the values leave; where there is too little, the values are cut, never wrapped."""
    text = lambda template: progress.TextColumn(template, style="none", markup=False, table_column=Column(no_wrap=True))
    return progress.Progress(
        progress.BarColumn(bar_width=None, table_column=Column(ratio=1, min_width=4)),
        text("step {task.completed}/{task.total}  {task.fields[shown]}"),
        progress.TimeRemainingColumn(compact=True),
        text("left"),
        console=Console(file=sys.stdout, force_terminal=True, markup=False, highlight=False),
        refresh_per_second=4,
        expand=True,
        redirect_stderr=sys.stderr.isatty(),  # one that goes to a file stays there
    )


def _line_of_notebook() -> Any:
    """IPython's handle of a line of output that can be written anew, without any widget; None outside of a notebook."""
    ipython = sys.modules.get("IPython")
    if ipython is None or not hasattr(ipython.get_ipython(), "kernel"):
        return None
    return ipython.display.display({"text/plain": "compiling ..."}, raw=True, display_id=True)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None and math.isfinite(value)]
    return sum(known) / len(known) if known else None
