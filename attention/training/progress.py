"""What a run shows while it trains: one live line on a terminal, plain lines elsewhere."""

import math
import sys
from collections.abc import Sequence
from typing import Any


class Progress:
    """Shows step, loss, validation accuracy, examples/s and the time left.

    Args:
      steps: updates in all.
      start: updates done before.
      live: whether to redraw one line; by default where stdout is a terminal.
    """

    def __init__(self, steps: int, start: int, live: bool | None = None):
        self.steps = steps
        self._shown: dict[str, str] = {}
        self._bar: Any = None
        if sys.stdout.isatty() if live is None else live:
            from tqdm import tqdm

            shape = "{percentage:3.0f}%|{bar:20}| step {n}/{total}{postfix} {remaining} left"
            self._bar = tqdm(total=steps, initial=start, file=sys.stdout, bar_format=shape, dynamic_ncols=True)

    def advance(self, step: int) -> None:
        """An update has been dispatched."""
        if self._bar is not None:
            self._bar.update(step - self._bar.n)

    def trained(self, step: int, losses: Sequence[float | None], rate: float) -> None:
        """The losses of the members since the last call, None for one that has stopped, and examples per second."""
        loss = _mean(losses)
        self._shown["loss"] = "-" if loss is None else f"{loss:.4f}"
        self._shown["examples/s"] = f"{rate:.0f}"
        self._show(step, ("loss", "examples/s"))

    def validated(self, step: int, accuracies: Sequence[float | None]) -> None:
        """The validation accuracies of the members, None for one that has stopped."""
        accuracy = _mean(accuracies)
        self._shown["validation"] = "-" if accuracy is None else f"{100 * accuracy:.2f}%"
        self._show(step, ("validation",))

    def say(self, line: str) -> None:
        """A line that stays."""
        if self._bar is not None:
            self._bar.write(line, file=sys.stdout)
        else:
            print(line, flush=True)

    def close(self) -> None:
        """Leaves the live line as it is."""
        if self._bar is not None:
            self._bar.close()

    def _show(self, step: int, changed: Sequence[str]) -> None:
        if self._bar is not None:
            self._bar.set_postfix_str(", ".join(f"{name} {value}" for name, value in self._shown.items()))
        else:
            values = "  ".join(f"{name} {self._shown[name]}" for name in changed)
            print(f"step {step}/{self.steps}  {values}", flush=True)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None and math.isfinite(value)]
    return sum(known) / len(known) if known else None


def duration(seconds: float) -> str:
    """Seconds as people say them: ``48 s``, ``3 min 05 s``."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
