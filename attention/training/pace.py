"""How long what is left of a run takes, judged by what it has taken so far."""

import dataclasses


@dataclasses.dataclass
class Pace:
    """What a process has spent on a run, and what the rest of it will take.

    ::

      left = updates u + programs c + examples e

    with the updates to come, the shapes of batches that are still to be compiled, and the examples that validations and the
    final test still score; ``u``, ``c`` and ``e`` are what each has taken here. Before the first validation an example is
    taken to cost a third of what it does in an update, which also goes backward.

    Attributes:
      updates: made here.
      updating: the seconds spent on them.
      programs: compiled here.
      compiling: the seconds spent on that.
      batch: the examples of an update.
      scoring: the seconds that an example took in the last validation; None before it.
    """

    batch: int
    updates: int = 0
    updating: float = 0.0
    programs: int = 0
    compiling: float = 0.0
    scoring: float | None = None

    def updated(self, seconds: float, compiling: float) -> None:
        """An update has been dispatched, and the one before it is done; ``compiling`` is what of its seconds went there."""
        self.updates += 1
        self.updating += seconds - compiling
        if compiling > 0:
            self.programs += 1
            self.compiling += compiling

    def left(self, updates: int, programs: int, examples: int) -> float | None:
        """The seconds that so many updates, programs of them in all and scored examples will take; None before one is done."""
        if self.updates < 2:
            return None
        update = self.updating / (self.updates - 1)  # the last one is under way
        program = self.compiling / max(self.programs, 1)
        scoring = update / self.batch / 3 if self.scoring is None else self.scoring
        return updates * update + max(programs - self.programs, 0) * program + examples * scoring
