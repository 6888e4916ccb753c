"""What a run shows while it trains: one redrawn line on a terminal or in a notebook, plain lines elsewhere."""

import contextlib
import math
import sys
from collections.abc import Container, Sequence
from typing import Any

from attention import heartbeat

_ORDER = ("loss", "examples/s", "validation")


class Progress:
    """Shows step, loss, score on validation, examples/s and the time left.

    On a terminal these are in the line that ``heartbeat.watching`` draws.

    Args:
      steps: updates in all.
      start: updates done before.
      live: whether a line is drawn anew; by default where there is one on the terminal, or a notebook.
    """

    def __init__(self, steps: int, start: int, live: bool | None = None):
        self.steps = steps
        self._shown: dict[str, str] = {}
        self._open = contextlib.ExitStack()
        self._doing = self._open.enter_context(heartbeat.doing(""))
        self._live = heartbeat.drawn() if live is None else live
        self._line = _line_of_notebook() if live is None else None
        self._step = start
        self._write()

    def advance(self, step: int, left: float | None = None) -> None:
        """An update has been dispatched; ``left`` are the seconds that the rest of the run takes, where that is known."""
        self._step = step
        self._doing.share, self._doing.left = None if left is None else step / self.steps, left
        self._write()

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
        print(line, flush=True)
        self._heard()

    def close(self) -> None:
        """Leaves the last values where the line was drawn."""
        self._open.close()
        if self._live and self._shown:
            print(self._said(self._step, self._shown), flush=True)

    def _write(self) -> None:
        """What is under way, in words."""
        shown = f"  {self._values(self._shown)}" if self._live and self._shown else ""
        self._doing.text = f"update {self._step} of {self.steps}{shown}"

    def _show(self, step: int, changed: Sequence[str]) -> None:
        if self._live:
            self._write()
        elif self._line is not None:
            self._line.update({"text/plain": self._said(step, self._shown)}, raw=True)
        else:
            print(self._said(step, changed), flush=True)
        self._heard()

    def _heard(self) -> None:
        """Somebody has seen a line."""
        heartbeat.heard()

    def _said(self, step: int, names: Container[str]) -> str:
        return f"step {step}/{self.steps}  {self._values(names)}"

    def _values(self, names: Container[str]) -> str:
        return "  ".join(f"{name} {self._shown[name]}" for name in _ORDER if name in names)


def _line_of_notebook() -> Any:
    """IPython's handle of a line of output that can be written anew, without any widget; None outside of a notebook."""
    ipython = sys.modules.get("IPython")
    if ipython is None or not hasattr(ipython.get_ipython(), "kernel"):
        return None
    return ipython.display.display({"text/plain": "compiling ..."}, raw=True, display_id=True)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None and math.isfinite(value)]
    return sum(known) / len(known) if known else None
